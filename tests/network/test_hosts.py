"""Manners towards hosts: pauses are the host's, turns are few, bad hosts are left alone, other hosts don't wait.

And what is let in: no answer does more harm than an error of ours, no redirect leads inside, no TLS fault passes.
"""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from catalog.config import NetworkSettings
from catalog.errors import CatalogError, NetworkError, RefusedAddress, RefusedUrl, RequestFailed, ResponseTooLarge
from catalog.network import http
from catalog.network import rate_limit as hosts
from catalog.network import ssrf as guard
from catalog.network.http import Client
from catalog.network.rate_limit import (
    LONGEST_PAUSE,
    MOST_PARKED_SECONDS,
    PARKED_AFTER,
    PARKED_SECONDS,
    TURNS,
    Host,
    Meter,
)
from tests.fakes import Asked, QuietServer, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCAL = NetworkSettings(allow_loopback=True)
DAY = 86_400.0


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


def raw(*answers: bytes) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
    """A route that says these bytes, one after the other and then the last ones for ever, and hangs up."""
    said = chain(answers, repeat(answers[-1]))

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.close_connection = True
        handler.wfile.write(next(said))

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


@pytest.mark.parametrize("reset", ["99999999999", "-5", "soon", "٣", "²", "", "9" * 400])
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


class Together:
    """A clock for threads that all sleep at once: it stands still until each of them does, and somebody has looked."""

    def __init__(self, threads: int) -> None:
        self.now = self.until = 1000.0
        self.lock = threading.Lock()
        self.asleep = threading.Barrier(threads + 1, timeout=60)
        self.awake = threading.Barrier(threads + 1, timeout=60)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.until = max(self.until, self.now + seconds)
        self.asleep.wait()
        self.awake.wait()

    def wake(self) -> None:
        self.now = self.until
        self.awake.wait()


@pytest.mark.parametrize(("known", "most"), [(False, 1), (True, TURNS)])
@pytest.mark.parametrize("headers", [{}, {"Retry_After": "5"}, {"RateLimit_Reset": "5"}])
def test_a_pause_is_the_hosts_so_that_a_thousand_requests_are_not_a_thousand_429s(
    headers: dict[str, str], most: int, *, known: bool
) -> None:
    """A dozen threads sleep through a storm of three pauses; each wakes no more than has a turn. Others are read."""
    many, storm = 12, threading.Event()
    clock = Together(many)

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, b"<html>busy</html>", 429, **headers) if storm.is_set() else answer(handler, {})

    with (
        fake_server({"/": route}) as stormy,
        fake_server({"/": lambda h, _: answer(h, {})}) as other,
        Client(LOCAL, sleep=clock.sleep, clock=clock) as client,
    ):
        if known:
            client.get_json(stormy.url)
        before = len(stormy.asked)
        storm.set()
        threads = [threading.Thread(target=client.get_json, args=(stormy.url,), daemon=True) for _ in range(many)]
        for thread in threads:
            thread.start()
        for pause in range(1, 4):
            clock.asleep.wait()
            assert pause <= len(stormy.asked) - before <= pause * most, "nobody asks while it wants to be left alone"
            client.get_json(other.url)
            if pause == 3:
                storm.clear()
            asked = len(stormy.asked)
            clock.wake()
        for thread in threads:
            thread.join(60)
        assert len(stormy.asked) == asked + many
        assert len(other.asked) == 3


@pytest.mark.parametrize("headers", [{"Retry_After": "0"}, {"RateLimit_Reset": "1000000001"}, {"Retry_After": "-3"}])
def test_a_429_that_says_at_once_again_and_again_says_nothing(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """Or it would be asked some times a second for all our patience."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    with fake_server({"/": lambda handler, _: answer(handler, b"", 429, **headers)}) as fake:
        with pytest.raises(RequestFailed) as caught:
            client.get_json(fake.url)
        assert caught.value.status == 429
        assert len(fake.asked) <= 12
    assert clock.slept[:3] == [pytest.approx(wait) for wait in (2.5, 4.5, 8.5)]


@pytest.mark.parametrize(
    ("status", "header"), [(429, b"Retry-After"), (429, b"RateLimit-Reset"), (503, b"Retry-After")]
)
@pytest.mark.parametrize(
    "lie",
    [b"99999999999", b"9" * 4999, b"-5", b"soon", "٣".encode(), b"\xb2", b"", b"1e9", b"Fri, 31 Dec 9999 23:59:59 GMT",
     b"Mon, 01 Jan 0001 00:00:00 +2359", b"Thu, 01 Jan 1970 00:00:00 -9999999", b"Wed, 99 Foo 2026 99:99:99 GMT"],
)  # fmt: skip
def test_a_header_that_lies_is_no_reason_to_crash_or_to_wait_for_ever(
    clock: Clock, status: int, header: bytes, lie: bytes
) -> None:
    """Each is believed up to the bound, or not at all."""
    told = (
        f"HTTP/1.1 {status} Busy\r\n".encode()
        + header
        + b": "
        + lie
        + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    patient = Client(LOCAL, sleep=clock.sleep, clock=clock, patience=DAY)
    with fake_server({"/": raw(told, fine)}) as fake, patient as client:
        assert client.get_json(fake.url) == {}
    bound = hosts._MOST_PAUSE if status == 429 else http.MAX_WAIT
    assert len(clock.slept) == 1
    assert 0 <= clock.slept[0] <= bound
    if lie[:3] in (b"999", b"Fri") and (status, header) == (429, b"Retry-After"):
        assert clock.slept[0] == pytest.approx(bound, abs=0.1), "the control: what is long is believed that far"


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


# --- no answer -------------------------------------------------------------------------------------------------------


def test_no_answer_is_waited_for_a_little_longer_each_time(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write is tried once: the server may have acted on it before it hung up."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    with fake_server({"/": raw(b"")}) as fake:
        with pytest.raises(RequestFailed, match="didn't answer") as caught:
            client.get_json(fake.url)
        assert (len(fake.asked), clock.slept) == (http.TRIES, [0.5, 1.0, 2.0])
        assert caught.value.where == fake.url
        with pytest.raises(RequestFailed, match="didn't answer"):
            client.post_json(fake.url, {})
        assert len(fake.asked) == http.TRIES + 1


def test_nobody_there_is_asked_again_also_to_write(client: Client, clock: Clock) -> None:
    with fake_server({}) as fake:
        gone = fake.url
    for ask in (lambda: client.get(gone), lambda: client.post_json(gone, {})):
        clock.slept.clear()
        with pytest.raises(RequestFailed, match="can't be reached"):
            ask()
        assert len(clock.slept) == http.TRIES - 1


def test_a_body_that_breaks_off_is_asked_for_again(client: Client) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\n"
    cut, whole = (head + body for body in (b'{"fin', b'{"fine": true}'))
    with fake_server({"/": raw(cut, cut, whole), "/cut": raw(cut)}) as fake:
        assert client.get_json(fake.url) == {"fine": True}
        assert len(fake.asked) == 3
        with pytest.raises(RequestFailed, match="broke off"):
            client.get(f"{fake.url}/cut")
        assert len(fake.asked) == 3 + http.TRIES
        with pytest.raises(RequestFailed):
            client.post_json(f"{fake.url}/cut", {})
        assert len(fake.asked) == 4 + http.TRIES, "a write may have happened"


@pytest.mark.parametrize(
    "length",
    [b"-5", b"soon", b"5, 6", "٣".encode(), b"9" * 30, b"9" * 4999, b"+2", b"0x2", b"2\r\nContent-Length: 3"],
)  # fmt: skip
def test_a_length_that_is_none_is_our_own_error(client: Client, length: bytes) -> None:
    with fake_server({"/": raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n{}")}) as fake:
        with pytest.raises((RequestFailed, ResponseTooLarge)):
            client.get(fake.url, max_bytes=1000)
        assert len(fake.asked) <= http.TRIES


def test_what_comes_after_the_stated_length_spoils_no_other_answer(client: Client) -> None:
    """The body is as long as was said; who finds the rest on the connection asks again on a fresh one."""

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}and more")  # the connection stays open

    with fake_server({"/": route, "/next": lambda handler, _: answer(handler, {"true": 1})}) as fake:
        assert client.get(fake.url).body == b"{}"
        assert client.get_json(f"{fake.url}/next") == {"true": 1}


@pytest.mark.parametrize(
    ("head", "piece", "told"),
    [
        (b"Content-Length: 1000000000000", b"", "1,000,000,000,000 bytes"),
        (b"Transfer-Encoding: chunked", b"400\r\n" + b"x" * 1024 + b"\r\n", "more than 10,000"),
        (b"Connection: close", b"x" * 1024, "more than 10,000"),
    ],
)
def test_a_body_beyond_its_cap_is_not_read_nor_asked_for_again(
    client: Client, head: bytes, piece: bytes, told: str
) -> None:
    """One that says so isn't waited for: this server would send nothing before the client hung up."""
    gone = threading.Event()

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        try:
            while piece:
                handler.wfile.write(piece)
            handler.rfile.read(1)
        finally:
            handler.close_connection = True
            gone.set()

    with fake_server({"/": route}) as fake:
        with pytest.raises(ResponseTooLarge, match=told):
            client.get(fake.url, max_bytes=10_000)
        assert gone.wait(60)
        assert len(fake.asked) == 1
    assert client.bytes < 200_000


def _status_line(code: int) -> bytes:
    return b"HTTP/1.1 %d X\r\n" % code


_HEADERS = st.sampled_from([
    b"Content-Length: 3\r\n", b"Content-Length: 99\r\n", b"Transfer-Encoding: chunked\r\n", b"Location: http://[\r\n",
    b"Location: //\xe2\x84\x80@x\r\n", b"Location: /\r\n", b"Set-Cookie: a=b; expires=\xff; domain=.\r\n",
    b"\xff: \xff\r\n", b"Retry-After: \xd9\xa3\r\n", b"RateLimit-Remaining: 0\r\nRateLimit-Reset: 99999999999\r\n",
    b"Content-Encoding: gzip\r\n", b"Content-Type: text/html; charset=\xff\r\n", b" folded\r\n",
    b"Content-Encoding: zstd\r\n", b"Connection: upgrade\r\n",
])  # fmt: skip
_ANSWERS = st.binary(max_size=80) | st.builds(
    lambda line, headers, body: line + b"".join(headers) + b"\r\n" + body,
    st.integers(100, 999).map(_status_line) | st.sampled_from([200, 204, 206, 302, 429, 503]).map(_status_line),
    st.lists(_HEADERS, max_size=4),
    st.sampled_from([b"", b"{}", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\n"])
    | st.binary(max_size=40),
)


def test_no_answer_whatsoever_raises_more_than_our_own_errors() -> None:
    with fake_server({}) as fake:

        @given(_ANSWERS)
        def hear(anything: bytes) -> None:
            clock = Clock()
            fake.routes["/"] = raw(anything)
            with (
                Client(LOCAL, sleep=clock.sleep, clock=clock, patience=5, parks=True) as client,
                suppress(NetworkError, RefusedUrl),
            ):
                client.get(fake.url, seconds=5)

        hear()


def test_slow_hosts_take_no_connection_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many bodies are open. (A crawl has 48 threads.)"""
    monkeypatch.setattr(http, "READ_SECONDS", 2.0)  # what a request waits for a connection
    released = threading.Event()

    def slow(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        released.wait(60)
        handler.close_connection = True

    with (
        fake_server({"/": slow}) as fake,
        fake_server({"/": lambda handler, _: answer(handler, {})}) as other,
        Client(LOCAL, sleep=lambda _: None) as client,
        ExitStack() as stack,
    ):
        stack.callback(released.set)
        for _ in range(48):
            stack.enter_context(client.stream(fake.url))
        assert client.get_json(other.url) == {}


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
            with pytest.raises(RequestFailed, match=r"left alone for .* in a row, the last: HTTP 500"):
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


def test_a_host_whose_bodies_break_off_is_left_alone_too(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its headers were good each time. A body that came to its end in between forgives it."""
    monkeypatch.setattr(http, "TRIES", 1)
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
    with (
        fake_server({"/": raw(cut), "/good": lambda handler, _: answer(handler, {})}) as fake,
        Client(LOCAL, sleep=clock.sleep, clock=clock, parks=True) as client,
    ):
        for failures in (PARKED_AFTER - 1, PARKED_AFTER):
            client.get(f"{fake.url}/good")
            for _ in range(failures):
                with pytest.raises(RequestFailed, match="broke off"):
                    client.get(fake.url)
        asked = len(fake.asked)
        with pytest.raises(RequestFailed) as caught:
            client.get(f"{fake.url}/good")
        assert caught.value.name == "HostParked"
        assert len(fake.asked) == asked


def test_what_a_caller_has_enough_of_was_a_good_answer(clock: Clock) -> None:
    """A preview reads the beginning of a shard; the failures before it are forgotten."""
    broken = iter([True] * 4 + [False] + [True] * 4)

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, b"x" * 300_000, 500 if next(broken) else 200)

    with (
        fake_server({"/": route}) as fake,
        Client(LOCAL, sleep=clock.sleep, clock=clock, parks=True) as client,
    ):
        for _ in range(2):
            with pytest.raises(RequestFailed, match="500"):
                client.get(fake.url)
            if len(fake.asked) == http.TRIES:
                with client.stream(fake.url) as opened:
                    next(opened.chunks)
                    del opened
        assert len(fake.asked) == 2 * http.TRIES + 1, "nine, and four failures in a row at most"


@pytest.mark.parametrize("status", [429, 500])
def test_a_bad_answer_counts_once_however_its_body_ends(clock: Clock, status: int) -> None:
    """A 429 is no failure and a 500 is one, also when their bodies break off."""
    cut = _status_line(status) + b"Content-Length: 9\r\n\r\n{"
    with (
        fake_server({"/": raw(cut)}) as fake,
        Client(LOCAL, sleep=clock.sleep, clock=clock, patience=100, parks=True) as client,
    ):
        with pytest.raises(RequestFailed) as caught:
            client.get(fake.url)
        assert caught.value.status == status
        assert client.host(fake.url)._failures == (0 if status == 429 else http.TRIES)
        assert len(fake.asked) >= http.TRIES


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


class Queue(threading.Condition):
    """A condition that tells how many wait for it."""

    waiting = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waiting += 1
        try:
            return super().wait(timeout)
        finally:
            self.waiting -= 1


def test_one_request_until_the_first_good_answer_then_a_few_at_a_time() -> None:
    """Bad answers don't count; the others stand in a queue."""
    lock = threading.Lock()
    now: list[int] = []
    most: list[int] = []
    gate = threading.Semaphore(0)

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        with lock:
            now.append(1)
            most.append(len(now))
        gate.acquire(timeout=60)
        with lock:
            now.pop()
        answer(handler, {}, 200 if len(most) > 1 else 500)

    with fake_server({"/": route}) as fake, Client(LOCAL, sleep=lambda _: None) as client:
        client.host(fake.url)._changed = queue = Queue()
        threads = [threading.Thread(target=client.get_json, args=(fake.url,), daemon=True) for _ in range(12)]
        for thread in threads:
            thread.start()
        for _ in range(2):  # a bad answer, and the first good one
            _until(lambda: (len(now), queue.waiting) == (1, 11))
            gate.release()
        _until(lambda: (len(now), queue.waiting) == (TURNS, 11 - TURNS))
        for _ in range(12):
            gate.release()
        for thread in threads:
            thread.join(60)
    assert most[:2] == [1, 1]
    assert max(most) == TURNS
    assert len(most) == 13


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_measurements_are_smoothed_and_small_bodies_say_nothing_of_the_throughput(clock: Clock) -> None:
    host = Host("pds.example", sleep=clock.sleep, clock=clock, parks=False)
    host.received(100, 1.0)
    assert (host.latency, host.throughput) == (None, None)
    host.answered(1.0, {})
    host.answered(2.0, {})
    host.received(50_000, 1.0)
    host.received(100_000, 1.0)
    assert host.latency == pytest.approx(1.2)
    assert host.throughput == pytest.approx(60_000)


def test_what_a_host_is_like_is_measured_and_traffic_is_counted_by_thread() -> None:
    body = b"x" * 100_000
    with (
        fake_server({"/": lambda handler, _: answer(handler, body)}) as fake,
        fake_server({"/": lambda handler, _: answer(handler, {})}) as second,
        Client(LOCAL) as client,
    ):
        mine, theirs = Meter(), Meter()

        def other() -> None:
            with client.metered(theirs):
                client.get(fake.url)

        thread = threading.Thread(target=other)
        with client.metered(mine):
            thread.start()
            client.get(fake.url)
            client.get(fake.url)
            client.post_json(second.url, [1])
            thread.join(60)
        host = client.host(fake.url)
        assert host.latency is not None
        assert host.latency > 0
        assert host.throughput is not None
        assert host.throughput > 100_000
        assert {name: (t.requests, t.bytes) for name, t in mine.hosts.items()} == {
            host.name: (2, 200_000),
            client.host(second.url).name: (1, len("[1]") + len("{}")),
        }
        assert all(traffic.seconds > 0 for traffic in mine.hosts.values())
        assert {name: (t.requests, t.bytes) for name, t in theirs.hosts.items()} == {host.name: (1, 100_000)}
        client.get(fake.url)
        assert client.requests == 5
        assert mine.hosts[host.name].requests == 2, "only what is asked inside is counted"


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ours(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The only authority that is trusted, by whatever is made after."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    monkeypatch.setattr(guard, "tls_context", lambda: trusting)
    return authority


@contextmanager
def tls_server(certificate: trustme.LeafCert | Path | None, moves: dict[str, str]) -> Iterator[tuple[int, list[str]]]:
    """A server on loopback that redirects some paths: its port, and the paths asked for. Without certificate no TLS."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            target = moves.get(self.path)
            if target is None:
                answer(self, {"fine": True})
            else:
                self.wfile.write(
                    b"HTTP/1.1 302 Found\r\nLocation: " + target.encode() + b"\r\nContent-Length: 0\r\n\r\n"
                )

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = QuietServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(certificate, trustme.LeafCert):
        certificate.configure_cert(context)
    elif certificate is not None:
        context.load_cert_chain(certificate)
    if certificate is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("nobody vouches for it", r"TLS: unable to get local issuer certificate"),
        ("it vouches for itself", r"TLS: self.signed certificate\)"),
        ("of another name", r"TLS: Hostname mismatch, certificate is not valid for 'localhost'"),
        ("expired", r"TLS: certificate has expired"),
        ("of tomorrow", r"TLS: certificate is not yet valid"),
        ("no TLS at all", r"TLS: (wrong version number|record layer failure|packet length too long)"),
    ],
)
def test_a_tls_fault_says_what_is_wrong_and_the_host_is_not_read(
    ours: trustme.CA, tmp_path: Path, fault: str, told: str
) -> None:
    """It is tried a few times, by the client; never is anything asked."""
    day, now = timedelta(days=1), datetime.now(UTC)
    certificate: trustme.LeafCert | Path | None
    if fault == "no TLS at all":
        certificate = None
    elif fault == "it vouches for itself":
        certificate, selfish = tmp_path / "self.pem", trustme.CA()
        certificate.write_bytes(selfish.private_key_pem.bytes() + selfish.cert_pem.bytes())
    elif fault == "nobody vouches for it":
        certificate = trustme.CA().issue_cert("localhost")
    elif fault == "of another name":
        certificate = ours.issue_cert("elsewhere.example")
    elif fault == "expired":
        certificate = ours.issue_cert("localhost", not_after=now - day)
    else:
        certificate = ours.issue_cert("localhost", not_before=now + day)
    with tls_server(certificate, {}) as (port, asked), Client(LOCAL, sleep=lambda _: None) as client:
        with pytest.raises(RequestFailed, match=told) as caught:
            client.get_json(f"https://localhost:{port}/x?token=secret")
        assert caught.value.where == f"https://localhost:{port}/x"
        assert client.requests == http.TRIES
        with pytest.raises(RequestFailed, match=told) as caught:
            guard.open_socket(f"wss://localhost:{port}/x?token=secret", allow_loopback=True, seconds=5)
        assert caught.value.where == "wss://localhost"
        assert asked == []


def test_a_good_certificate_is_trusted(ours: trustme.CA) -> None:
    """The control of all the faults."""
    with tls_server(ours.issue_cert("localhost"), {}) as (port, asked), Client(LOCAL) as client:
        assert client.get_json(f"https://localhost:{port}/x") == {"fine": True}
        with guard.open_socket(f"wss://localhost:{port}/y", allow_loopback=True, seconds=5) as opened:
            opened.sendall(b"GET /y HTTP/1.0\r\n\r\n")
            assert opened.recv(100).startswith(b"HTTP/1.0 200")
        assert asked == ["/x", "/y"]


@pytest.mark.usefixtures("ours")
def test_a_server_that_never_shakes_hands_is_given_up_in_time() -> None:
    """It takes connections and says nothing: the kernel does that for whoever listens."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Client(LOCAL, sleep=lambda _: None) as client:
        port = silent.getsockname()[1]
        with pytest.raises(RequestFailed, match="can't be reached"):
            client.get(f"https://localhost:{port}/", seconds=0.1)
        with pytest.raises(RequestFailed, match="can't be reached"):
            guard.open_socket(f"wss://localhost:{port}/", allow_loopback=True, seconds=0.1)


# --- what is inside --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An internet in which every name has the same public address, and a server that moves paths elsewhere."""

    moves: dict[str, str]
    asked: list[str]
    connected: list[str]
    """Every address that a connection was asked for."""


PUBLIC = "8.8.8.8"


@pytest.fixture
def world(ours: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    resolve, connect = socket.getaddrinfo, socket.create_connection
    moves: dict[str, str] = {}
    connected: list[str] = []

    def resolved(host: str, port: int, *arguments: int, **named: int) -> Any:  # noqa: ANN401 — as socket has it
        try:
            return resolve(host, port, *arguments, **{**named, "flags": socket.AI_NUMERICHOST})
        except socket.gaierror:
            inside = {"localhost": ["127.0.0.1"], "rebinding.example": [PUBLIC, "192.168.0.1"]}
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (to, port)) for to in inside.get(host, [PUBLIC])]

    with tls_server(ours.issue_cert("public.example", "other.example"), moves) as (server_port, asked):

        def connecting(address: tuple[str, int], *arguments: Any, **named: Any) -> socket.socket:  # noqa: ANN401
            connected.append(address[0])
            if address[0] != PUBLIC:
                raise ConnectionRefusedError
            return connect(("127.0.0.1", server_port), *arguments, **named)

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        monkeypatch.setattr(socket, "create_connection", connecting)
        yield World(moves=moves, asked=asked, connected=connected)


INSIDE = [
    "127.0.0.1", "localhost", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
    "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a00:1]", "2130706433", "0x7f.1", "017700000001", "rebinding.example",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_no_redirect_leads_inside(world: World, host: str) -> None:
    """Neither at once nor in two steps; it is refused by its own error, and nobody is connected to for it."""
    world.moves.update({"/away": f"https://{host}/secret", "/first": "https://other.example/away"})
    with Client(NetworkSettings(), sleep=lambda _: None) as client:
        for path, hops in (("/away", 1), ("/first", 3)):
            with pytest.raises(RefusedAddress, match="not a public one"):
                client.get(f"https://public.example{path}")
            assert len(world.asked) == hops
        assert set(world.connected) == {PUBLIC}
        assert world.asked == ["/away", "/first", "/away"]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("file:///etc/passwd", RefusedUrl),
        ("ftp://public.example/", RefusedUrl),
        ("gopher://public.example:70/", RefusedUrl),
        ("javascript:alert(1)", RequestFailed),
        ("https://user:secret@public.example/", RefusedUrl),
        ("http://public.example/", RefusedAddress),
        ("http://127.0.0.1/", RefusedAddress),
        ("http://[", RefusedUrl),
        ("https://public.example\\\\[", RefusedUrl),
        ("https://\u2100@public.example/", RefusedUrl),
        ("https://public.example:99999/", RefusedUrl),
        ("https://xn--/", RefusedUrl),
        ("https://xn--a.public.example/", RefusedUrl),
        ("https://[::1", RequestFailed),
        ("https://", RequestFailed),
    ],
)
def test_a_redirect_to_what_is_not_opened_is_refused(world: World, target: str, error: type[CatalogError]) -> None:
    world.moves["/away"] = target
    with Client(NetworkSettings(), sleep=lambda _: None) as client, pytest.raises(error) as caught:
        client.get("https://public.example/away")
    assert "secret" not in str(caught.value)
    assert set(world.asked) == {"/away"}
    assert set(world.connected) == {PUBLIC}


def test_redirects_outside_are_followed_but_not_for_ever(world: World) -> None:
    """The control, as far as it goes; then a circle, and one step more than is allowed."""
    most = http.MAX_REDIRECTS
    world.moves.update({"/a": "https://other.example/b", "/b": "https://public.example/a"})
    world.moves.update({f"/{number}": f"/{number - 1}" for number in range(1, most + 2)})
    with Client(NetworkSettings(), sleep=lambda _: None) as client:
        assert client.get_json(f"https://public.example/{most}") == {"fine": True}
        world.asked.clear()
        for path in (f"/{most + 1}", "/a"):
            with pytest.raises(RequestFailed, match=f"more than {most} redirects"):
                client.get(f"https://public.example{path}")
            assert len(world.asked) == most + 1
            world.asked.clear()


@pytest.mark.parametrize("host", INSIDE)
def test_no_stream_is_opened_inside(world: World, host: str) -> None:
    with pytest.raises(RefusedAddress, match="not a public one"):
        guard.open_socket(f"wss://{host}/xrpc", allow_loopback=False, seconds=5)
    assert world.connected == []


@pytest.mark.parametrize(
    "url",
    ["ws://public.example", "ws://10.0.0.1", "ws://[::ffff:127.0.0.1]", "https://public.example", "file:///x", "",
     "wss://[::1", "wss://public.example:99999", "wss://\u2100@public.example", "wss://public.example:x"],
)  # fmt: skip
def test_what_is_not_the_address_of_a_stream_is_refused(world: World, url: str) -> None:
    """Also where loopback is allowed: then ``ws:`` goes there and nowhere else."""
    with pytest.raises(RefusedAddress):
        guard.open_socket(url, allow_loopback=True, seconds=5)
    assert world.connected == []


def test_a_stream_of_a_public_host_is_opened(world: World) -> None:
    """The control; and nobody there is a failure that names the host."""
    guard.open_socket("wss://public.example/xrpc", allow_loopback=False, seconds=5).close()
    assert world.connected == [PUBLIC]
    with pytest.raises(RequestFailed, match=r"can't be reached \(ConnectionRefusedError\)") as caught:
        guard.open_socket("ws://localhost:1/x", allow_loopback=True, seconds=5)
    assert caught.value.where == "ws://localhost"
