"""A fair queue: a few threads, shared among clients by the time that their queries took.

- Of the waiting clients, the one that used the least time lately is next; used time is halved every few seconds.
- One thread is reserved for clients that have used little, so that costly queries can't take all of them.
- A request is refused at once if too many wait, or too many of its client.

Used in the event loop only, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

LIGHT_SECONDS: Final = 0.25
"""A client that has used less lately may use the reserved thread."""
HALF_SECONDS: Final = 5.0
MOST_CLIENTS: Final = 10_000
"""Whose time is remembered; beyond, the one that was quiet longest is forgotten."""


class TooMany(Exception):
    """Too many requests wait."""


class Turns:
    """The queue: ``threads`` for all clients, and a reserved one; at most ``each`` requests of a client wait."""

    def __init__(self, threads: int, *, each: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._each = each
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By client the seconds it has used, and when that was so."""
        self.waiting = 0

    @asynccontextmanager
    async def turn(self, client: str, most: int) -> AsyncIterator[None]:
        """A turn of this client. Raises :class:`TooMany` at once when ``most`` wait already, or too many of its own."""
        await self._begin(client, most)
        begun = self._clock()
        try:
            yield
        finally:
            self._end(client, self._clock() - begun)

    async def _begin(self, client: str, most: int) -> None:
        if self.waiting >= most:
            raise TooMany
        if self._may(client):
            self._running[client] += 1
            return
        queue = self._waiting.setdefault(client, deque())
        if len(queue) >= self._each:
            raise TooMany
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        self.waiting += 1
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # the turn came after the client had gone
                self._end(client, 0.0)
            else:
                self._forget(client, mine)
            raise

    def _end(self, client: str, seconds: float) -> None:
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        now = self._clock()
        self._used[client] = (self._lately(client, now) + seconds, now)
        self._used.move_to_end(client)
        if len(self._used) > MOST_CLIENTS:
            self._used.popitem(last=False)
        self._next(now)

    def _next(self, now: float) -> None:
        while self._waiting:
            client = min(self._waiting, key=lambda one: (self._running[one], self._lately(one, now)))
            if not self._may(client):
                return
            mine = self._waiting[client][0]
            self._forget(client, mine)
            self._running[client] += 1
            mine.set_result(None)

    def _forget(self, client: str, mine: asyncio.Future[None]) -> None:
        queue = self._waiting[client]
        queue.remove(mine)
        self.waiting -= 1
        if not queue:
            del self._waiting[client]

    def _may(self, client: str) -> bool:
        """Return whether there is a thread for another request of this client."""
        running = self._running.total()
        if running < self._threads:
            return True
        return running == self._threads and not self._running[client] and self._is_light(client)

    def _is_light(self, client: str) -> bool:
        return self._lately(client, self._clock()) < LIGHT_SECONDS

    def _lately(self, client: str, now: float) -> float:
        used, then = self._used.get(client, (0.0, now))
        return used * 0.5 ** ((now - then) / HALF_SECONDS) if used else 0.0
