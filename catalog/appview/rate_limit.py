"""Rate limits by client address: a token bucket for each.

- ``X-Forwarded-For`` can be forged, so it is read only from proxies in the settings, back to the first foreign address.
- An IPv6 network (/64) is one client, as its owner can use any address in it.
- Each process has its own buckets: with several, the limit is multiplied by their number.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

MOST_CLIENTS: Final = 50_000
"""Whose buckets are remembered; beyond, the one that was quiet longest is forgotten, and full when it comes again."""
_MOST_FORWARDED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A client's remaining quota: requests, and seconds until all are available again. ``wait``: until the next one."""

    left: int
    reset: int
    wait: int = 0
    allowed: bool = True


class Buckets:
    """The buckets: ``requests`` in ``seconds``. One thread's."""

    def __init__(self, requests: int, seconds: int) -> None:
        self.requests = requests
        self.seconds = seconds
        self._rate = requests / seconds
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By client how much was in its bucket, and when."""

    def take(self, client: str, now: float) -> Share:
        """One request of a client at ``now``, in seconds of a clock that doesn't go back."""
        held, then = self._held.pop(client, (float(self.requests), now))
        held = min(float(self.requests), held + (now - then) * self._rate)
        allowed = held >= 1
        held -= allowed
        self._held[client] = (held, now)
        if len(self._held) > MOST_CLIENTS:
            self._held.popitem(last=False)
        reset = math.ceil((self.requests - held) / self._rate)
        wait = 0 if allowed else max(1, math.ceil((1 - held) / self._rate))
        return Share(left=int(held), reset=reset, wait=wait, allowed=allowed)

    def __len__(self) -> int:
        return len(self._held)


def client_of(peer: str | None, forwarded: str, proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """The client, for whom a bucket is kept: an address, or a network of IPv6. ``forwarded`` is X-Forwarded-For."""
    address = _address(peer or "")
    if address is None:
        return peer or "unknown"
    hops = forwarded.split(",")[-_MOST_FORWARDED:] if forwarded else []
    while hops and _is_ours(address, proxies):
        before = _address(hops.pop().strip())
        if before is None:
            break
        address = before
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


def _is_ours(address: IPv4Address | IPv6Address, proxies: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in proxy for proxy in proxies)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.strip("[]"))
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
