"""The SSRF guard: connections only to global addresses and those in the settings, checked before connecting.

DNS could change its answer between a check and the connection. So a name is resolved once, each of its addresses is
checked, and the socket connects to a checked address. TLS and the Host header keep the name.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpcore
import httpx

from catalog.config.addresses import is_nameable
from catalog.errors import RefusedAddress, RequestFailed

if TYPE_CHECKING:
    from catalog.config.addresses import Networks

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

DEADLINE: ContextVar[float | None] = ContextVar("DEADLINE", default=None)
"""Deadline (``time.monotonic``) of the connection in use; no read waits longer."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All IPv6 addresses that are given out for the internet; loopback, local, mapped and multicast ones lie outside."""
_CLOSED: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to loopback
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared: carriers, VPNs, Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, where most clouds keep credentials
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments: the own gateway's PCP and TURN; Oracle's old metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112: answers for private names
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # relays of 6to4, withdrawn
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with the broadcast address
        "2001::/23",  # protocol assignments: Teredo, benchmarks, AMT, AS112, ORCHID, DRIP
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
"""No host of the internet is here: https://www.iana.org/assignments/iana-ipv4-special-registry/ and -ipv6-…/.

The blocks that the registries call globally reachable are closed too: they hold relays and anycast services of the
network itself, which may be those of the reader's own network."""
_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.170.2",  # Amazon's containers
        "169.254.170.23",
        "169.254.0.23",  # Tencent
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's wire server, a public address
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # Amazon
        "fd00:ec2::23",
        "fd00:42::42",  # Scaleway
        "fd00:a9fe:a9fe::1",  # Akamai
        "fd20:ce::254",  # Google
    )
)
"""Addresses at which clouds give a machine its credentials, without a password."""


def is_global(address: Address) -> bool:
    """Return whether an address is a host's on the internet; an IPv4 address inside an IPv6 one counts as itself."""
    address = _itself(address)
    if address in _METADATA or (address.version == 6 and address not in _UNICAST):
        return False
    return not any(address in network for network in _CLOSED)


def _itself(address: Address) -> Address:
    """Return the IPv4 address inside a mapped, 6to4 or NAT64 address, and any other address unchanged."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_allowed(address: Address, allowed: Networks) -> bool:
    """Return whether the settings allow a non-global address; link-local and cloud metadata ones only singly."""
    address = _itself(address)
    singly = address.is_link_local or address in _METADATA
    return any(address in network and (network.num_addresses == 1 or not singly) for network in allowed)


def opens_plain(host: str, *, allow_loopback: bool, allowed: Networks) -> bool:
    """Return whether plain http and ws are allowed: to loopback, and to allowed addresses spelled out in the URL.

    Not to names: an attacker who can change a DNS answer could make any host with a name communicate without TLS.
    """
    if is_loopback_name(host):
        return allow_loopback
    try:
        return is_allowed(ipaddress.ip_address(host), allowed)
    except ValueError:
        return False


def is_loopback_name(host: str) -> bool:
    """Return whether a host in a URL is a spelling of loopback: ``localhost``, ``127.0.0.1``, ``::1``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_addresses(host: str, port: int, *, allow_loopback: bool, allowed: Networks = ()) -> list[str]:
    """The addresses of a host, all checked. Raises :class:`RefusedAddress`, or ``ConnectError`` when it has none."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} has no address") from error
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    for text in found:
        address = ipaddress.ip_address(text.split("%", 1)[0])
        if is_global(address) and host != "localhost":
            continue
        if not (allow_loopback and address.is_loopback) and not is_allowed(address, allowed):
            hint = "only public addresses are opened"
            if address.is_loopback:
                hint += "; CATALOG_ALLOW_LOOPBACK=1 allows this machine's own"
            elif is_nameable(inner := _itself(address)):
                hint += f"; allow_addresses: ['{inner}'] in mkdocs.yml or CATALOG_ALLOW_ADDRESSES={inner} allows it"
            raise RefusedAddress(f"its address {address} is not a public one", where=host, hint=hint)
    return found


@cache
def _tls(_authorities: tuple[str | None, ...]) -> ssl.SSLContext:
    return httpx.create_ssl_context()


def tls_context() -> ssl.SSLContext:
    """Return the TLS context; honours SSL_CERT_FILE and SSL_CERT_DIR. Made once a process, as it takes 18 ms."""
    return _tls((os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")))


def cause_of(error: BaseException) -> str:
    """Return the root cause of a failed connection: TLS's message, the system's, or a timeout."""
    root: BaseException | None = error
    while root is not None:
        if isinstance(root, ssl.SSLCertVerificationError):
            return f"TLS: {root.verify_message}"
        if isinstance(root, ssl.SSLError):
            return f"TLS: {(root.reason or 'it failed').lower().replace('_', ' ')}"
        if isinstance(root, (TimeoutError, httpx.TimeoutException)):
            return "it took too long"
        if isinstance(root, OSError) and root.strerror:
            return root.strerror[0].lower() + root.strerror[1:]
        root = root.__cause__ or root.__context__
    return type(error).__name__


def open_socket(url: str, *, allow_loopback: bool, seconds: float, allowed: Networks = ()) -> socket.socket:
    """Return a TLS connection to the server of a ``wss:`` URL, at a checked address.

    ``ws:`` is opened only where :func:`opens_plain` allows it. Raises :class:`RefusedAddress`, or
    :class:`RequestFailed` if it can't be reached.
    """
    try:
        parts = urlsplit(url)
        named = parts.port  # raises for an invalid port
    except ValueError:
        raise RefusedAddress("not the address of a stream", hint="use wss") from None
    host, plain = parts.hostname or "", parts.scheme == "ws"
    if plain and not opens_plain(host, allow_loopback=allow_loopback, allowed=allowed):
        raise RefusedAddress("an unencrypted stream is not opened", where=host, hint="use wss")
    if not plain and parts.scheme != "wss":
        raise RefusedAddress("not the address of a stream", where=host, hint="use wss")
    port = named or (80 if plain else 443)
    deadline = time.monotonic() + seconds
    try:
        failure: Exception = OSError("it has no address")
        for address in checked_addresses(host, port, allow_loopback=allow_loopback, allowed=allowed):
            try:
                left = max(0.01, deadline - time.monotonic())
                opened = socket.create_connection((address, port), timeout=left)
            except OSError as error:
                failure = error
                continue
            try:
                return opened if plain else tls_context().wrap_socket(opened, server_hostname=host)
            except (OSError, ValueError):
                opened.close()
                raise
        raise failure
    except (OSError, ValueError, httpcore.ConnectError) as error:
        raise RequestFailed(f"can't be reached ({cause_of(error)})", where=f"{parts.scheme}://{host}") from None


class _Stream(httpcore.NetworkStream):
    """A connection on which no read or write goes past the deadline, a drip of headers included."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 — httpcore's own signature
        return self._inner.get_extra_info(info)


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    deadline = DEADLINE.get()
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the whole answer took too long")
    return left if timeout is None else min(timeout, left)


class _Backend(httpcore.NetworkBackend):
    """Connects to checked addresses only, one after the other until one answers."""

    def __init__(self, *, allow_loopback: bool, allowed: Networks) -> None:
        self._allow_loopback = allow_loopback
        self._allowed = allowed
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in checked_addresses(host, port, allow_loopback=self._allow_loopback, allowed=self._allowed):
            left = _left(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(self._inner.connect_tcp(address, port, left, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class GuardedTransport(httpx.HTTPTransport):
    """httpx's own transport on guarded connections; environment proxies are not used, they would undo the guard."""

    def __init__(self, *, allow_loopback: bool, allowed: Networks = ()) -> None:
        context = tls_context()
        super().__init__(verify=context, trust_env=False)
        # The one place to hand httpx a network backend: it has no parameter for it.
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,  # threads limit them; waiting for one could mean waiting for another, slow host
            max_keepalive_connections=10,
            keepalive_expiry=15,
            network_backend=_Backend(allow_loopback=allow_loopback, allowed=allowed),
        )
