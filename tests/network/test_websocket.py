"""The connection under the streams: against the real PDS, and servers that hang up, redirect or say nothing."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.firehose import Filter, Notice, read_frame, sequence_of
from catalog.config import NetworkSettings
from catalog.errors import RefusedAddress, RequestFailed
from catalog.network import websocket
from catalog.network.websocket import messages
from tests.streams import DID, PATH, error_frame, fake_stream, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.server import ServerConnection

    from tests.conftest import Network

LOCAL = NetworkSettings(allow_loopback=True, contact="who@example.org")


class Impatient(threading.Event):
    """A stop that remembers how long it was to be waited for, and doesn't wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed sooner, and a pause is always the longest that it may be."""
    monkeypatch.setattr(websocket, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(random, "uniform", lambda _, high: high)


def _listen(
    url: str,
    *,
    stop: threading.Event | None = None,
    parameters: Callable[[], list[tuple[str, str]]] = list,
    opened: Callable[[], None] = lambda: None,
    troubles: list[RequestFailed] | None = None,
    idle: float | None = 0.5,
    settings: NetworkSettings = LOCAL,
) -> Iterator[bytes | str]:
    return messages(
        url,
        PATH,
        settings,
        parameters=parameters,
        stop=Impatient() if stop is None else stop,
        opened=opened,
        idle=idle,
        troubled=(troubles if troubles is not None else []).append,
    )


def _numbered(number: int) -> bytes:
    return frame("#identity", {"did": DID, "seq": number})


def _cut(connection: ServerConnection) -> None:
    """Half a frame of a hundred bytes, then the line is dead."""
    raw = connection.socket
    raw.sendall(b"\x82\x64" + b"x" * 50)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.shutdown(socket.SHUT_RDWR)
    raw.close()


# --- the real PDS ----------------------------------------------------------------------------------------------------


def test_a_pds_tells_what_came_after_the_cursor(network: Network) -> None:
    """And nothing from before it."""
    earlier = _with_a_last_event(network, "earlier")
    first = _until_told(network, earlier, after=0)
    assert first == sorted(set(first))
    later = _with_a_last_event(network, "later")
    then = _until_told(network, later, after=first[-1])
    assert then == list(range(first[-1] + 1, then[-1] + 1))


def _with_a_last_event(network: Network, name: str) -> str:
    """Make an account and a record. Return the record's key, which only the last event names."""
    account = network.account(name)
    value = {"$type": "app.bsky.feed.post", "text": "x", "createdAt": "2026-01-02T03:04:05.000Z"}
    return str(network.create_record(account, "app.bsky.feed.post", value)["uri"]).rpartition("/")[2]


def _until_told(network: Network, key: str, *, after: int) -> list[int]:
    """Return the numbers of the events from a cursor on, up to the one that names a key. However long they take."""
    numbers: list[int] = []
    url = network.pds_url.replace("http", "ws", 1)
    for raw in _listen(url, parameters=lambda: [("cursor", str(after))], idle=None):
        assert isinstance(raw, bytes)
        number = sequence_of(raw)
        assert number is not None
        numbers.append(number)
        if key.encode() in raw:
            break
    return numbers


def test_a_pds_says_that_a_cursor_is_of_the_future(network: Network) -> None:
    """As an error frame; then it hangs up."""
    url = network.pds_url.replace("http", "ws", 1)
    told = next(_listen(url, parameters=lambda: [("cursor", "999999999")]))
    assert isinstance(told, bytes)
    notice = read_frame(told, Filter(b"x"))
    assert isinstance(notice, Notice)
    assert notice.name == "FutureCursor"


# --- servers that misbehave ------------------------------------------------------------------------------------------


def test_nothing_is_lost_when_the_server_hangs_up_again_and_again() -> None:
    """Each connection goes on from the newest event that came; half a frame is none."""
    seen: list[int] = []

    def some(connection: ServerConnection) -> None:
        assert connection.request is not None
        after = int(connection.request.path.rpartition("=")[2])
        for number in range(after + 1, min(after + 1 + after % 3 + 1, 31)):
            connection.send(_numbered(number))
        if after % 2:
            _cut(connection)
        elif after >= 30:
            fake.over.wait(60)

    with fake_stream(some) as fake:
        for raw in _listen(fake.url, parameters=lambda: [("cursor", str(seen[-1] if seen else 0))]):
            assert isinstance(raw, bytes)
            seen.append(sequence_of(raw) or 0)
    assert seen == list(range(1, 31))
    assert len(fake.asked) > 10


def test_the_user_agent_has_the_version_and_the_contact() -> None:
    """The parameters are in the address."""
    with fake_stream(lambda connection: connection.send("x")) as fake:
        next(_listen(fake.url, parameters=lambda: [("cursor", "7"), ("wantedCollections", "a.b.*")]))
    assert fake.agents == [f"atdata-catalog/{version('atdata-catalog')} (+who@example.org)"]
    assert fake.asked == [f"{PATH}?cursor=7&wantedCollections=a.b.%2A"]


def test_texts_are_told_from_bytes() -> None:
    """Each comes as what it is."""

    def both(connection: ServerConnection) -> None:
        connection.send("text")
        connection.send(b"bytes")
        fake.over.wait(60)

    with fake_stream(both) as fake:
        assert list(_listen(fake.url)) == ["text", b"bytes"]


def test_a_message_beyond_the_cap_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never held in memory; the next connection may go on."""
    monkeypatch.setattr(websocket, "MAX_MESSAGE", 1000)

    def large(connection: ServerConnection) -> None:
        connection.send(b"x" * 1000)
        connection.send(b"x" * 1001)
        fake.over.wait(60)

    def small(connection: ServerConnection) -> None:
        connection.send(b"small")
        fake.over.wait(60)

    troubles: list[RequestFailed] = []
    with fake_stream(large, small) as fake:
        assert [len(message) for message in _listen(fake.url, troubles=troubles)] == [1000, 5]
    assert [trouble.what for trouble in troubles if "1009" in trouble.what]


def test_a_stream_may_be_silent_for_longer_than_connecting_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its pings tell whether it lives."""
    monkeypatch.setattr(websocket, "OPEN_SECONDS", 1.5)
    stop = threading.Event()

    def late(connection: ServerConnection) -> None:
        fake.over.wait(2.0)
        connection.send(b"late")
        fake.over.wait(60)

    troubles: list[RequestFailed] = []
    with fake_stream(late) as fake:
        for message in _listen(fake.url, idle=None, stop=stop, troubles=troubles):
            assert message == b"late"
            stop.set()
    assert (len(fake.asked), troubles) == (1, [])


def test_silence_ends_only_what_was_asked_to_end_by_it() -> None:
    """Without ``idle`` it goes on until it is stopped; a stop that had no effect would hang the test."""

    def nothing(_: ServerConnection) -> None:
        fake.over.wait(60)

    with fake_stream(nothing) as fake:
        begun = time.monotonic()
        assert list(_listen(fake.url, idle=0.3)) == []
        assert time.monotonic() - begun > 0.3
        stop = threading.Event()
        threading.Timer(1.0, stop.set).start()
        begun = time.monotonic()
        assert list(_listen(fake.url, idle=None, stop=stop)) == []
        assert time.monotonic() - begun >= 1.0


def test_the_time_that_the_reader_takes_is_no_silence() -> None:
    """A slow consumer still gets the next event."""
    worked = threading.Event()

    def two(connection: ServerConnection) -> None:
        connection.send(b"1")
        worked.wait(60)
        connection.send(b"2")
        fake.over.wait(60)

    with fake_stream(two) as fake:
        told = []
        for message in _listen(fake.url, idle=1.0):
            told.append(message)
            if message == b"1":
                time.sleep(1.2)
                worked.set()
    assert told == [b"1", b"2"]


def _answers(raw: bytes) -> Callable[[socket.socket], None]:
    """A server that reads a request and answers so, whatever was asked."""

    def answer(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(raw)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        b"HTTP/1.1 200 " + b"\xff" * 50 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\x00\x01\x02",
        b"",
    ],
)
def test_a_server_that_opens_no_stream_is_tried_a_few_times(answer: bytes) -> None:
    """With pauses that grow; then its words are the error's."""
    stop, troubles = Impatient(), list[RequestFailed]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answers(answer), args=(listener,))
        thread.start()
        try:
            url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(RequestFailed, match="stream"):
                next(_listen(url, stop=stop, troubles=troubles))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert len(troubles) == websocket.TRIES
    assert stop.waits == [2.0, 4.0, 8.0]


def test_a_server_that_is_away_for_days_is_tried_at_least_each_minute() -> None:
    """Numbers that grow for ever don't break it."""

    class Days(Impatient):
        def wait(self, timeout: float | None = None) -> bool:
            if len(self.waits) >= 1500:
                self.set()
            return super().wait(timeout)

    stop, troubles = Days(), list[RequestFailed]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert list(_listen(f"ws://127.0.0.1:{port}", idle=None, stop=stop, troubles=troubles)) == []
    assert len(troubles) > 1000
    assert max(stop.waits) == websocket.LONGEST_WAIT


def test_a_server_that_hangs_up_on_slow_readers_is_left_alone_for_longer() -> None:
    """Also when each connection brings something: pauses grow, and nothing is raised."""

    def slow(connection: ServerConnection) -> None:
        connection.send(error_frame("ConsumerTooSlow", "too slow"))

    class Six(Impatient):
        def wait(self, timeout: float | None = None) -> bool:
            if len(self.waits) == 5:
                self.set()
            return super().wait(timeout)

    stop = Six()
    with fake_stream(slow) as fake:
        told = list(_listen(fake.url, stop=stop))
    assert len(told) == 6
    assert stop.waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "ws://example.org", "wss://10.0.0.1", "http://127.0.0.1"])
def test_an_address_that_is_not_opened_is_not_tried_again(url: str) -> None:
    """The guard's word is final."""
    with pytest.raises(RefusedAddress):
        next(_listen(url, settings=NetworkSettings(), idle=None))


def test_each_connection_is_announced() -> None:
    """And asks for its parameters anew."""
    cursors, opened = iter("abc"), list[int]()
    with fake_stream(lambda connection: connection.send(b"x")) as fake:
        heard = _listen(
            fake.url, parameters=lambda: [("cursor", next(cursors))], opened=lambda: opened.append(len(opened))
        )
        assert [next(heard) for _ in range(3)] == [b"x"] * 3
        heard.close()  # type: ignore[attr-defined] # it is a generator
    assert opened == [0, 1, 2]
    assert [path[-1] for path in fake.asked] == ["a", "b", "c"]
