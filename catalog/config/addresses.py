"""Networks in settings: private ones that may be opened, and trusted proxies.

The first are ``allow_addresses`` of the block, or CATALOG_ALLOW_ADDRESSES. A record is untrusted input, so an address
inside a network is opened only if the settings name it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

from catalog.errors import InvalidConfig

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

_PRIVATE: Final = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""The private networks: RFC 1918, RFC 6598 (shared, used by VPNs) and RFC 4193."""
_LINK_LOCAL: Final = tuple(ip_network(text) for text in ("169.254.0.0/16", "fe80::/10"))
_MOST: Final = 100
_EXAMPLE: Final = 'for example [10.20.0.0/16, "fd00::/8"]'


def read_networks(value: object, where: str) -> Networks:
    """Return the networks of a list or of text with commas. Raises :class:`InvalidConfig`.

    Only private ones can be named: public ones are opened anyway, loopback has its own setting. Link-local addresses,
    where clouds keep a machine's credentials, are allowed one by one.
    """
    items = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise InvalidConfig("must be a list of addresses and networks", where=where, hint=_EXAMPLE)
    if len(items) > _MOST:
        raise InvalidConfig(f"more than {_MOST} of them", where=where, hint="name the networks that they are in")
    return tuple(_network(item, where) for item in items)


def is_nameable(address: IPv4Address | IPv6Address) -> bool:
    """Return whether :func:`read_networks` takes this address."""
    try:
        read_networks([str(address)], "")
    except InvalidConfig:
        return False
    return True


def read_proxies(value: object, where: str) -> Networks:
    """Return the trusted proxies of X-Forwarded-For: any networks. Raises :class:`InvalidConfig`."""
    items = [] if value is None else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise InvalidConfig("must be a list of addresses", where=where, hint="for example [127.0.0.1, 10.0.0.0/8]")
    try:
        return tuple(ip_network(item) for item in items)
    except ValueError as error:
        raise InvalidConfig(f"not an address or network: {error}", where=where) from None


def _network(text: str, where: str) -> IPv4Network | IPv6Network:
    shown = ascii(text[:80])
    if "%" in text:
        raise InvalidConfig(f"{shown} names an interface", where=where, hint="leave out what follows the %")
    try:
        network = ip_network(text)
    except ValueError as error:
        wider = _wider(text)
        hint = _EXAMPLE if wider is None else f"did you mean {wider}?"
        what = f"{shown} is neither an address nor a network" if wider is None else str(error)[:200]
        raise InvalidConfig(what, where=where, hint=hint) from None
    if network.is_loopback:
        hint = "CATALOG_ALLOW_LOOPBACK=1 allows it"
        raise InvalidConfig(f"{shown} is this machine", where=where, hint=hint)
    if any(_within(network, around) for around in _LINK_LOCAL):
        if network.num_addresses > 1:
            hint = "clouds keep a machine's credentials there: name single addresses"
            raise InvalidConfig(f"{shown} is a range of link-local addresses", where=where, hint=hint)
    elif not any(_within(network, around) for around in _PRIVATE):
        hint = f"those are in {', '.join(map(str, _PRIVATE))}; public addresses are opened anyway"
        raise InvalidConfig(f"{shown} is not in a private network", where=where, hint=hint)
    return network


def _wider(text: str) -> str | None:
    """The network that ``10.20.0.7/16`` is in."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return None


def _within(network: IPv4Network | IPv6Network, around: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(around, IPv4Network) and network.subnet_of(around)
    return isinstance(around, IPv6Network) and network.subnet_of(around)
