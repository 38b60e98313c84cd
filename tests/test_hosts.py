"""Manners towards hosts: pauses are the host's, turns are few, bad hosts are left alone, other hosts don't wait."""

from __future__ import annotations

import random
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
import trustme

from catalog.config import NetworkSettings
from catalog.errors import RequestFailed
from catalog.network import guard, hosts
from catalog.network.hosts import LONGEST_PAUSE, MOST_PARKED_SECONDS, PARKED_AFTER, PARKED_SECONDS, TURNS, Host, Meter
from catalog.network.http import Client
from tests.fakes import Asked, QuietServer, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCAL = NetworkSettings(allow_loopback=True)
DAY = 86_400.0


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept.append(seconds)
            self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Iterator[Client]:
    with Client(LOCAL, sleep=clock.sleep, clock=clock) as opened:
        yield opened


def busy_once(**headers: str) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
    """A route that is busy the first time, and fine after."""
    times = iter([True])

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        if next(times, False):
            answer(handler, b"<html>busy</html>", 429, **headers)
        else:
            answer(handler, {"fine": True})

    return route


# --- pauses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["seconds", "date", "reset", "epoch"])
def test_a_429_is_asked_again_when_it_says_and_not_before(client: Client, clock: Clock, said: str) -> None:
    later = datetime.now(UTC) + timedelta(seconds=40)
    headers = {
        "seconds": {"Retry_After": "40"},
        "date": {"Retry_After": format_datetime(later, usegmt=True)},
        "reset": {"RateLimit_Reset": "40"},
        "epoch": {"RateLimit_Reset": str(int(later.timestamp()))},
    }[said]
    with fake_server({"/": busy_once(**headers)}) as fake:
        assert client.get_json(fake.url) == {"fine": True}
        assert len(fake.asked) == 2
    assert len(clock.slept) == 1
    assert 38 <= clock.slept[0] <= 41


def test_what_is_left_of_a_limit_is_heeded_before_it_is_used_up(client: Client, clock: Clock) -> None:
    with fake_server(
        {"/": lambda handler, _: answer(handler, {}, RateLimit_Remaining="1", RateLimit_Reset="25")}
    ) as fake:
        client.get_json(fake.url)
        assert clock.slept == []
        client.get_json(fake.url)
    assert clock.slept == [pytest.approx(25)]


@pytest.mark.parametrize("reset", ["99999999999", "-5", "soon", "٣", "", "9" * 400])
def test_a_lying_limit_never_takes_more_than_the_bound(clock: Clock, reset: str) -> None:
    host = Host("pds.example", sleep=clock.sleep, clock=clock, parks=False)
    host.answered(0.1, {"ratelimit-remaining": "0", "ratelimit-reset": reset})
    with host.turn(clock() + 2 * DAY):
        pass
    assert sum(clock.slept) <= hosts._MOST_PAUSE


def test_pauses_grow_while_429s_say_nothing_and_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)  # the longest that the jitter may be
    host = Host("pds.example", sleep=clock.sleep, clock=clock, parks=False)
    for _ in range(12):
        host.busy(None, {})
        with host.turn(clock() + DAY):
            pass
    assert clock.slept[:4] == [pytest.approx(wait + 0.5) for wait in (2, 4, 8, 16)]
    assert max(clock.slept) == pytest.approx(LONGEST_PAUSE + 0.5)
    clock.slept.clear()
    host.answered(0.1, {})
    host.busy(None, {})
    with host.turn(clock() + DAY):
        pass
    assert clock.slept == [pytest.approx(2.5)], "a good answer ends the storm"


def test_a_pause_is_the_hosts_so_that_a_thousand_requests_are_not_a_thousand_429s() -> None:
    """Twenty threads want a host that says once to come back in a second; another host is read meanwhile."""
    first = threading.Event()

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        if first.is_set():
            answer(handler, {})
        else:
            first.set()
            answer(handler, b"", 429, Retry_After="1")

    with (
        fake_server({"/": route}) as stormy,
        fake_server({"/": lambda h, _: answer(h, {})}) as other,
        Client(LOCAL) as client,
    ):
        threads = [threading.Thread(target=client.get_json, args=(stormy.url,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        assert first.wait(10)
        for _ in range(5):
            client.get_json(other.url)
        assert len(other.asked) == 5
        assert len(stormy.asked) == 1, "nobody asks while it wants to be left alone"
        for thread in threads:
            thread.join(20)
        assert len(stormy.asked) == 21


def test_a_pause_beyond_our_patience_fails_at_once(clock: Clock) -> None:
    with (
        fake_server({"/": busy_once(Retry_After="4000")}) as fake,
        Client(LOCAL, sleep=clock.sleep, clock=clock, patience=300) as client,
    ):
        with pytest.raises(RequestFailed, match="it wants no request for") as caught:
            client.get_json(fake.url)
        assert (caught.value.status, caught.value.name) == (429, "RateLimited")
        assert len(fake.asked) == 1
    assert clock.slept == []


def test_a_storm_that_never_ends_is_given_up(client: Client, clock: Clock) -> None:
    with fake_server({"/": lambda handler, _: answer(handler, b"busy", 429)}) as fake:
        with pytest.raises(RequestFailed) as caught:
            client.get_json(fake.url)
        assert caught.value.status == 429
        assert len(fake.asked) <= 400
    assert sum(clock.slept) >= 240, "it waited all its patience"


# --- parking ---------------------------------------------------------------------------------------------------------


def test_a_host_that_fails_again_and_again_is_left_alone_and_longer_each_time(clock: Clock) -> None:
    broken = True

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, {} if not broken else b"", 500 if broken else 200)

    with fake_server({"/": route}) as fake, Client(LOCAL, sleep=clock.sleep, clock=clock, parks=True) as client:
        for wait in (PARKED_SECONDS, 2 * PARKED_SECONDS):
            asked = len(fake.asked)
            while True:
                with pytest.raises(RequestFailed) as caught:
                    client.get_json(fake.url)
                if caught.value.name == "HostParked":
                    break
            assert len(fake.asked) - asked == PARKED_AFTER
            with pytest.raises(RequestFailed, match="left alone for"):
                client.get_json(fake.url)
            assert len(fake.asked) - asked == PARKED_AFTER, "nothing is sent to it"
            clock.now += wait - 1
            with pytest.raises(RequestFailed, match="left alone for 1 s more"):
                client.get_json(fake.url)
            clock.now += 2
        broken = False
        assert client.get_json(fake.url) == {}
        broken = True
        asked = len(fake.asked)
        with pytest.raises(RequestFailed) as caught:
            client.get_json(fake.url)
        assert caught.value.name != "HostParked", "one good answer, and all is forgiven"


def test_nobody_is_left_alone_for_more_than_an_hour(clock: Clock) -> None:
    host = Host("pds.example", sleep=clock.sleep, clock=clock, parks=True)
    for _ in range(20 * PARKED_AFTER):
        host.failed()
    assert host._parked_until - clock() == MOST_PARKED_SECONDS


def test_only_crawls_leave_hosts_alone_and_a_429_is_no_failure(clock: Clock) -> None:
    patient = Host("pds.example", sleep=clock.sleep, clock=clock, parks=False)
    busy = Host("pds.example", sleep=clock.sleep, clock=clock, parks=True)
    for _ in range(3 * PARKED_AFTER):
        patient.failed()
        busy.busy(1.0, {})
    for host in (patient, busy):
        with host.turn(clock() + DAY):
            pass


# --- turns -----------------------------------------------------------------------------------------------------------


def test_one_request_until_the_first_good_answer_then_a_few_at_a_time() -> None:
    lock = threading.Lock()
    now: list[int] = []
    most: list[int] = []
    opened = threading.Event()
    gate = threading.Semaphore(0)

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        with lock:
            now.append(1)
            most.append(len(now))
        opened.set()
        gate.acquire(timeout=10)
        with lock:
            now.pop()
        answer(handler, {})

    with fake_server({"/": route}) as fake, Client(LOCAL) as client:
        threads = [threading.Thread(target=client.get_json, args=(fake.url,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        assert opened.wait(10)
        time.sleep(0.2)  # the others would come now, if they were let
        assert len(fake.asked) == 1
        gate.release()
        _until(lambda: len(now) == TURNS)
        time.sleep(0.2)
        assert len(now) == TURNS
        for _ in range(12):
            gate.release()
        for thread in threads:
            thread.join(10)
    assert max(most) == TURNS
    assert len(most) == 12


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_a_host_is_like_is_measured_and_traffic_is_counted_by_thread() -> None:
    body = b"x" * 100_000
    with fake_server({"/": lambda handler, _: answer(handler, body)}) as fake, Client(LOCAL) as client:
        mine, theirs = Meter(), Meter()

        def other() -> None:
            with client.metered(theirs):
                client.get(fake.url)

        thread = threading.Thread(target=other)
        with client.metered(mine):
            thread.start()
            client.get(fake.url)
            client.get(fake.url)
            thread.join(10)
        host = client.host(fake.url)
        assert host.latency is not None
        assert 0 < host.latency < 5
        assert host.throughput is not None
        assert host.throughput > 100_000
        assert {name: (t.requests, t.bytes) for name, t in mine.hosts.items()} == {host.name: (2, 200_000)}
        assert {name: (t.requests, t.bytes) for name, t in theirs.hosts.items()} == {host.name: (1, 100_000)}
        assert client.requests == 3


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("nobody vouches for it", "self-signed certificate in certificate chain|unable to get local issuer"),
        ("of another name", "not valid for 'localhost'"),
        ("expired", "certificate has expired"),
        ("no TLS at all", "wrong version number|record layer failure|packet length too long|TLS"),
    ],
)
def test_a_tls_fault_says_what_is_wrong_and_the_host_is_not_read(
    monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    ours, others = trustme.CA(), trustme.CA()
    trusting = ssl.create_default_context()
    ours.configure_trust(trusting)
    monkeypatch.setattr(guard, "tls_context", lambda: trusting)
    asked: list[str] = []

    class Handler(_Quiet):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self, {})

    server = QuietServer(("127.0.0.1", 0), Handler)
    if fault != "no TLS at all":
        signer = others if fault.startswith("nobody") else ours
        name = "elsewhere.example" if fault == "of another name" else "localhost"
        past = datetime.now(UTC) - timedelta(days=1)
        certificate = signer.issue_cert(name, not_after=past) if fault == "expired" else signer.issue_cert(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        with Client(LOCAL, sleep=lambda _: None) as fresh:  # made after the patch: it has our authority
            with pytest.raises(RequestFailed, match=told) as caught:
                fresh.get_json(f"https://localhost:{server.server_port}/x")
            assert caught.value.where == f"https://localhost:{server.server_port}/x"
            assert fresh.requests <= 4
        with pytest.raises(RequestFailed, match=told):
            guard.open_socket(f"wss://localhost:{server.server_port}/x", allow_loopback=True, seconds=5)
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []
