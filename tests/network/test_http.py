"""The guarded client against servers that mean no good."""

from __future__ import annotations

import ipaddress
import socket
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.config import NetworkSettings
from catalog.config.addresses import read_networks
from catalog.errors import NetworkError, RefusedAddress, RefusedUrl, RequestFailed, ResponseTooLarge
from catalog.network import http
from catalog.network.http import Client
from catalog.network.ssrf import checked_addresses, is_allowed, is_global, opens_plain
from tests.fakes import Asked, Fake, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

LOCAL = NetworkSettings(allow_loopback=True, contact="https://example.org/about")


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({"/": lambda handler, _: answer(handler, {"fine": True})}) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(waits: list[float]) -> Iterator[Client]:
    with Client(LOCAL, sleep=waits.append) as opened:
        yield opened


def test_a_good_answer_is_read_and_counted(client: Client, fake: Fake) -> None:
    """By address and by name; with a User-Agent that says who asks and whom to tell."""
    assert client.get_json(fake.url) == {"fine": True}
    assert client.get_json(fake.url.replace("127.0.0.1", "localhost"), params={"q": "ä b"}) == {"fine": True}
    assert (client.requests, client.bytes) == (2, 2 * len(b'{"fine": true}'))
    assert fake.asked[1].query == {"q": "ä b"}
    assert "atdata-catalog" in fake.asked[0].headers["user-agent"]
    assert "https://example.org/about" in fake.asked[0].headers["user-agent"]


IANA = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29 192.0.0.8/32
192.0.0.9/32 192.0.0.10/32 192.0.0.170/31 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.88.99.2/32
192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 255.255.255.255/32
::1/128 ::/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128
2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2620:4f:8000::/48 3fff::/20
5f00::/16 fc00::/7 fe80::/10
"""
"""Every block of the registries of special-purpose addresses, but for the three that carry an IPv4 address.

https://www.iana.org/assignments/iana-ipv4-special-registry/ and https://www.iana.org/assignments/iana-ipv6-special-registry/
"""
OTHERS = ["224.0.0.0/4", "ff00::/8", "fec0::/10", "::/8", "::/96", "::ffff:0:0:0/96", "4000::/2", "8000::/1"]
"""Multicast, site-local, what was never given out, and the withdrawn forms that carry an IPv4 address."""


@pytest.mark.parametrize("block", [*IANA.split(), *OTHERS])
def test_no_block_of_special_addresses_is_global(block: str) -> None:
    """Neither its ends nor its middle, nor, for IPv4, as an address that IPv6 carries."""
    network = ipaddress.ip_network(block)
    for address in (network[0], network[network.num_addresses // 2], network[-1]):
        if address.version == 6 and address.ipv4_mapped is not None:
            continue  # as global as the IPv4 address
        assert not is_global(address), address
        for prefix, shift in CARRIERS if address.version == 4 else ():
            assert not is_global(ipaddress.IPv6Address(prefix | int(address) << shift)), address


@pytest.mark.parametrize(
    "address",
    [
        "168.63.129.16", "192.0.0.192", "100.100.100.200", "169.254.169.254", "169.254.170.2", "fd00:ec2::254",
        "fd20:ce::254", "fe80::a9fe:a9fe", "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "2002:a83f:8110::1", "fec0::1",
        "::127.0.0.1", "::8.8.8.8", "::ffff:0:10.0.0.1", "64:ff9b:1::808:808", "2002:7f00:1::",
        "2001:0:808:808:0:0:f5ff:fffe",
    ],
)  # fmt: skip
def test_no_address_inside_is_global(address: str) -> None:
    """Clouds' metadata, also at a public address; every form of IPv6 that carries an IPv4 address."""
    assert not is_global(ipaddress.ip_address(address))
    with pytest.raises(RefusedAddress):
        checked_addresses(address, 443, allow_loopback=False)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8", "168.63.129.17", "192.0.1.1", "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1",
        "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1",
    ],
)  # fmt: skip
def test_public_addresses_are_global(address: str) -> None:
    """The control: not everything is refused."""
    assert is_global(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "nameable"),
    [
        ("10.0.0.1", True), ("fd00::1", True), ("fe80::1", True),
        ("192.0.2.1", False), ("fec0::1", False), ("168.63.129.16", False),
    ],
)  # fmt: skip
def test_the_setting_is_named_only_where_it_can_help(address: str, nameable: bool) -> None:  # noqa: FBT001
    """An address that ``allow_addresses`` refuses is no hint."""
    with pytest.raises(RefusedAddress) as caught:
        checked_addresses(address, 443, allow_loopback=False)
    assert ("allow_addresses" in str(caught.value)) == nameable


CARRIERS = ((0xFFFF << 32, 0), (0x64FF9B << 96, 0), (0x2002 << 112, 80))
"""Mapped, NAT64 and 6to4: the prefix, and how far left the IPv4 address is."""


@given(st.integers(0, 2**32 - 1))
def test_an_address_inside_another_counts_as_itself(number: int) -> None:
    """Mapped, 6to4 and NAT64 forms of an IPv4 address are as global as the address."""
    inner = ipaddress.IPv4Address(number)
    for prefix, shift in CARRIERS:
        assert is_global(ipaddress.IPv6Address(prefix | number << shift)) == is_global(inner)


def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """Even where one of its addresses is public, and even with loopback allowed."""

    def resolve(*_arguments: object, **_named: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 443)) for text in ("8.8.8.8", "192.168.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(RefusedAddress, match=r"192\.168\.0\.1"):
        client.get("https://rebinding.example.org/")


def test_loopback_needs_the_setting(fake: Fake) -> None:
    """Without it neither plain http nor an address of this machine is opened, and nothing is asked."""
    with Client(NetworkSettings()) as strict:
        named = fake.url.replace("127.0.0.1", "localhost")
        for url in (fake.url, fake.url.replace("http:", "https:"), named.replace("http:", "https:")):
            with pytest.raises(RefusedAddress):
                strict.get(url)
    assert fake.asked == []


LAB = read_networks("10.20.0.0/16, 100.64.0.0/10, fd00::/8, 192.168.1.7", "test")


@pytest.mark.parametrize(
    "address", ["10.20.0.1", "10.20.255.255", "fd12::1", "192.168.1.7", "100.64.0.1", "::ffff:10.20.3.4"]
)
def test_addresses_that_the_settings_name_are_opened(address: str) -> None:
    """Also spelt as IPv6; and they are no more opened than others where nothing is named."""
    assert checked_addresses(address, 443, allow_loopback=False, allowed=LAB) == [address]
    with pytest.raises(RefusedAddress, match=r"allow_addresses.*CATALOG_ALLOW_ADDRESSES"):
        checked_addresses(address, 443, allow_loopback=True)


@pytest.mark.parametrize(
    "address",
    ["10.21.0.1", "192.168.1.8", "172.16.0.1", "fc00::1", "fe80::1", "127.0.0.1", "::1", "0.0.0.0", "224.0.0.1",  # noqa: S104
     "255.255.255.255", "169.254.169.254", "::ffff:169.254.169.254", "::ffff:10.21.0.1", "64:ff9b::a15:1",
     "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"],
)  # fmt: skip
def test_addresses_beside_the_named_ones_stay_closed(address: str) -> None:
    """Those where clouds keep credentials, too, though they are in a network that is named."""
    with pytest.raises(RefusedAddress):
        checked_addresses(address, 443, allow_loopback=False, allowed=LAB)


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fe80::1"])
def test_metadata_and_link_local_addresses_are_opened_only_when_named_themselves(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert is_allowed(parsed, read_networks([address], "test"))
    assert not is_allowed(parsed, (ipaddress.ip_network(f"{address}/{parsed.max_prefixlen - 1}", strict=False),))


@pytest.mark.parametrize(
    ("host", "plain"),
    [("10.20.0.5", True), ("fd00::5", True), ("10.21.0.5", False), ("8.8.8.8", False), ("pds.example", False),
     ("localhost", False), ("127.0.0.1", False), ("010.20.0.5", False)],
)  # fmt: skip
def test_plain_http_goes_to_allowed_addresses_that_the_url_spells_itself(host: str, plain: bool) -> None:  # noqa: FBT001
    """Never to a name: what it leads to is DNS's to say."""
    assert opens_plain(host, allow_loopback=False, allowed=LAB) is plain


def test_a_server_in_an_allowed_network_is_asked(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> None:
    """By plain http where the URL spells its address; a redirect out of the network is refused as any other."""
    port, connect = int(fake.url.rsplit(":", 1)[1].strip("/")), socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda _, *rest, **named: connect(("127.0.0.1", port), *rest, **named)
    )
    with Client(NetworkSettings(allow_addresses=LAB)) as inside:
        assert inside.get_json("http://10.20.0.5/") == {"fine": True}
        for url in ("http://10.21.0.5/", "https://10.21.0.5/", "http://127.0.0.1/"):
            with pytest.raises(RefusedAddress):
                inside.get(url)
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://127.0.0.1:1/", "connection refused"), ("https://nobody.invalid/", "name or service|temporary|nodename")],
)
def test_what_keeps_a_server_from_being_reached_is_told_in_words(client: Client, url: str, words: str) -> None:
    with pytest.raises(RequestFailed, match=rf"can't be reached \(({words})"):
        client.get(url)


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/", "file:///etc/passwd", "pipe:id", "", "https://", "https://user:secret@example.org/",
     "https://[::1", "https://example.org:99999/", "javascript:alert(1)", "//example.org"],
)  # fmt: skip
def test_what_is_not_a_plain_https_url_is_refused(client: Client, url: str) -> None:
    """And the password of one that has any isn't repeated."""
    with pytest.raises((RefusedUrl, RefusedAddress)) as caught:
        client.get(url)
    assert "secret" not in str(caught.value)


def _nowhere(*_arguments: object, **_named: object) -> list[object]:
    raise socket.gaierror


@given(st.text(max_size=60) | st.text("htps:/@[].%0 1\x00", max_size=40).map(lambda text: "https://" + text))
def test_any_text_as_a_url_raises_only_our_own_errors(text: str) -> None:
    """Whatever a record says. (No name resolves here: nobody is asked.)"""
    with pytest.MonkeyPatch.context() as patch, Client(LOCAL, sleep=lambda _: None) as client:
        patch.setattr(socket, "getaddrinfo", _nowhere)
        with pytest.raises((NetworkError, RefusedUrl)):
            client.get(text)


@pytest.mark.parametrize(
    "target", ["https://10.0.0.1/", "http://169.254.169.254/latest", "file:///etc/passwd", "http://x.example/"]
)
def test_a_redirect_is_checked_like_a_first_address(client: Client, fake: Fake, target: str) -> None:
    """It is another chance for somebody else's input."""
    fake.routes["/away"] = lambda handler, _: answer(handler, b"", 302, Location=target)
    with pytest.raises((RefusedAddress, RefusedUrl)):
        client.get(f"{fake.url}/away")
    assert fake.paths() == ["/away"]


def test_redirects_are_followed_a_few_times_and_lose_the_credentials(client: Client, fake: Fake) -> None:
    """To another server without the Authorization header; in a circle not for ever; a POST never."""
    with fake_server({"/there": lambda handler, _: answer(handler, {"there": 1})}) as other:
        fake.routes["/away"] = lambda handler, _: answer(handler, b"", 307, Location=f"{other.url}/there")
        fake.routes["/near"] = lambda handler, _: answer(handler, b"", 301, Location="/")
        fake.routes["/loop"] = lambda handler, _: answer(handler, b"", 302, Location="/loop")
        secret = {"Authorization": "Bearer secret"}
        assert client.get_json(f"{fake.url}/away", headers=secret) == {"there": 1}
        assert "authorization" not in other.asked[0].headers
        assert client.get_json(f"{fake.url}/near", headers=secret) == {"fine": True}
        assert fake.asked[-1].headers["authorization"] == "Bearer secret"
        with pytest.raises(RequestFailed, match="redirects"):
            client.get(f"{fake.url}/loop")
        with pytest.raises(RequestFailed, match="redirects"):
            client.post_json(f"{fake.url}/away", {})
        assert len(other.asked) == 1


def test_no_host_is_given_a_cookie_back(client: Client, fake: Fake) -> None:
    """Neither its own nor another's: crawls leave no traces to be known by."""
    fake.routes["/"] = lambda handler, _: answer(handler, {}, Set_Cookie="who=you; Path=/")
    for _ in range(2):
        client.get_json(fake.url)
    assert [asked.headers.get("cookie") for asked in fake.asked] == [None, None]


def test_a_host_is_the_same_with_its_port_spelt_out(client: Client) -> None:
    one = client.host("https://pds.example/xrpc/x")
    assert client.host("https://PDS.example:443/xrpc/y") is one
    assert client.host("http://pds.example:443/") is not one
    assert client.host("https://pds.example:8443/") is not one
    assert client.host("http://pds.example:80/") is one


def _endless(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"x" * 10_000)


def test_a_body_without_end_is_cut_at_the_cap(client: Client, fake: Fake) -> None:
    """As the bytes arrive, whether or not the server says how many there will be; the cap itself is allowed."""
    fake.routes["/endless"] = _endless
    fake.routes["/exact"] = lambda handler, _: answer(handler, b"x" * 1000)
    with pytest.raises(ResponseTooLarge):
        client.get(f"{fake.url}/endless", max_bytes=100_000)
    assert client.bytes < 1_000_000
    with pytest.raises(ResponseTooLarge):
        client.get(f"{fake.url}/exact", max_bytes=999)
    assert len(client.get(f"{fake.url}/exact", max_bytes=1000).body) == 1000


def _slow_body(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:  # until the client hangs up
        handler.wfile.write(b"x")
        time.sleep(0.05)


def _slow_headers(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    for number in count():  # until the client hangs up
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if number == 0 else b"X-%d: y\r\n" % number)
        time.sleep(0.05)


@pytest.mark.parametrize("drip", [_slow_body, _slow_headers])
def test_an_answer_that_drips_is_given_up(
    client: Client, fake: Fake, drip: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the whole doesn't: the deadline is for the whole answer, its headers included."""
    assert callable(drip)
    monkeypatch.setattr(http, "TRIES", 1)
    fake.routes["/slow"] = drip
    with pytest.raises(RequestFailed):
        client.get(f"{fake.url}/slow", seconds=0.4)


def test_busy_servers_are_asked_again_after_a_while(fake: Fake, waits: list[float]) -> None:
    """With Retry-After at least so long; in the end the answer comes. The clock moves by what is waited alone."""
    statuses = iter([(503, {}), (429, {"Retry_After": "7"}), (429, {"Retry_After": "20"}), (200, {})])

    def busy(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        status, headers = next(statuses)
        answer(handler, {"status": status}, status, **headers)

    fake.routes["/busy"] = busy
    with Client(LOCAL, sleep=waits.append, clock=lambda: sum(waits)) as client:
        assert client.get_json(f"{fake.url}/busy") == {"status": 200}
    assert len(waits) == 3
    assert 0 <= waits[0] <= 0.5
    assert 7 <= waits[1] <= 8
    assert 20 <= waits[2] <= 21


def test_a_server_that_stays_broken_is_given_up(client: Client, fake: Fake, waits: list[float]) -> None:
    """After a few tries; an error that won't pass is not tried again, nor is a write that may have happened."""
    fake.routes["/broken"] = lambda handler, _: answer(handler, b"<html>", 500)
    fake.routes["/wrong"] = lambda handler, _: answer(handler, {"error": "InvalidRequest", "message": "no\nway"}, 400)
    with pytest.raises(RequestFailed) as broken:
        client.get(f"{fake.url}/broken?token=secret")
    assert (broken.value.status, len(waits), len(fake.asked)) == (500, 3, 4)
    assert "secret" not in str(broken.value)
    with pytest.raises(RequestFailed) as wrong:
        client.get(f"{fake.url}/wrong")
    assert (wrong.value.status, wrong.value.name, len(fake.asked)) == (400, "InvalidRequest", 5)
    assert "\n" not in str(wrong.value)
    with pytest.raises(RequestFailed):
        client.post_json(f"{fake.url}/broken", {"a": 1})
    assert len(fake.asked) == 6


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[" * 100_000, b"NaN", b"9" * 10_000, b"\xff\xfe"])
def test_what_is_not_json_is_a_failed_request(client: Client, fake: Fake, body: bytes) -> None:
    """However it breaks the parser."""
    fake.routes["/odd"] = lambda handler, _: answer(handler, body)
    with pytest.raises(RequestFailed, match="not JSON"):
        client.get_json(f"{fake.url}/odd")


def test_a_stream_gives_its_pieces_and_tells_when_it_breaks_off(client: Client, fake: Fake) -> None:
    """A body shorter than was announced is not a whole one."""
    fake.routes["/shard"] = lambda handler, _: answer(handler, b"x" * 200_000)

    def cut(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.close_connection = True

    fake.routes["/cut"] = cut
    with client.stream(f"{fake.url}/shard") as whole:
        assert (whole.status, b"".join(whole)) == (200, b"x" * 200_000)
    with client.stream(f"{fake.url}/cut") as broken, pytest.raises(RequestFailed, match="broke off"):
        b"".join(broken)


def test_a_stream_hands_over_the_answers_that_its_caller_judges(client: Client, fake: Fake) -> None:
    """Also a redirect, which then isn't followed; other bad statuses stay errors."""
    fake.routes["/moved"] = lambda handler, _: answer(handler, b"there", 301, Location="/", X_Region="eu")
    fake.routes["/range"] = lambda handler, asked: answer(handler, asked.headers["range"].encode(), 416)
    with client.stream(f"{fake.url}/moved", answers={301}) as moved:
        assert (moved.status, moved.headers["x-region"], b"".join(moved)) == (301, "eu", b"there")
    with client.stream(f"{fake.url}/range", headers={"Range": "bytes=9-"}, answers={416}) as beyond:
        assert (beyond.status, b"".join(beyond)) == (416, b"bytes=9-")
    with client.stream(f"{fake.url}/moved", answers={416}) as followed:
        assert followed.status == 200
    assert fake.paths() == ["/moved", "/range", "/moved", "/"]
    with pytest.raises(RequestFailed, match="404"), client.stream(f"{fake.url}/gone", answers={301}):
        pass


def test_a_stream_opens_in_time_however_long_it_may_take(
    client: Client, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard may take a day; its headers may not."""
    monkeypatch.setattr(http, "TRIES", 1)
    monkeypatch.setattr(http, "WHOLE_SECONDS", 0.4)
    fake.routes["/slow"] = _slow_headers
    with pytest.raises(RequestFailed), client.stream(f"{fake.url}/slow", seconds=86_400):
        pass


def test_a_piece_must_come_in_time_not_only_a_byte(client: Client, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits of a chunk's size, for ever."""

    def sizes(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:  # until the client hangs up
            handler.wfile.write(b"0")
            time.sleep(0.05)

    monkeypatch.setattr(http, "READ_SECONDS", 0.4)
    fake.routes["/sizes"] = sizes
    with client.stream(f"{fake.url}/sizes") as opened, pytest.raises(RequestFailed, match="broke off"):
        b"".join(opened)
