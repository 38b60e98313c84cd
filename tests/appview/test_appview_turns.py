"""Clients of the AppView take turns: whoever asks for much waits for itself, and not the others for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from catalog.appview import fair_queue as turns
from catalog.appview.fair_queue import HALF_SECONDS, TooMany, Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class World:
    """Turns with a clock that goes only when told, and requests that last until they are ended."""

    def __init__(self, threads: int = 2, each: int = 100) -> None:
        self.now = 0.0
        self.turns = Turns(threads, each=each, clock=lambda: self.now)
        self.log: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, most: int = 200) -> asyncio.Task[None]:
        """A request, named by its client and a number."""

        async def work() -> None:
            async with self.turns.turn(name.partition(":")[0], most):
                self.log.append(name)
                await self._ends[name].wait()

        self._ends[name] = asyncio.Event()
        task = self._tasks[name] = asyncio.create_task(work())
        await settle()
        return task

    async def end(self, name: str, seconds: float = 0.0) -> None:
        """End a request after so many seconds."""
        self.now += seconds
        self._ends[name].set()
        await self._tasks[name]
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def _run(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    with ThreadPoolExecutor(1) as pool:  # the test's own thread may have a loop already, a browser's
        pool.submit(asyncio.run, main()).result()


def test_a_light_client_is_answered_while_heavy_ones_have_all_other_threads() -> None:
    async def scene() -> None:
        world = World()
        for name in ("a:1", "b:1"):
            await world.ask(name)
        await world.end("a:1", 1.0)
        await world.end("b:1", 1.0)
        for name in ("a:2", "b:2", "a:3", "b:3"):
            await world.ask(name)
        assert world.log == ["a:1", "b:1", "a:2", "b:2"]
        await world.ask("c:1")
        assert world.log[-1] == "c:1"
        await world.ask("d:1")
        assert world.log[-1] == "c:1", "there is one such thread"
        await world.end("c:1", 0.01)
        assert world.log[-1] == "d:1"

    _run(scene)


def test_next_is_who_has_used_the_least_time_lately_however_many_requests_wait() -> None:
    async def scene() -> None:
        world = World(threads=1)
        await world.ask("a:0")
        await world.end("a:0", 2.0)
        await world.ask("b:0")
        await world.end("b:0", 1.0)
        await world.ask("z:0")
        for name in ("a:1", "a:2", "a:3", "b:1", "b:2"):
            await world.ask(name)
        world.log.clear()
        await world.end("z:0", 3.0)
        assert world.log == ["b:1"]
        await world.end("b:1", 0.1)
        assert world.log == ["b:1", "b:2"]
        await world.end("b:2", 5.0)
        assert world.log[-1] == "a:1"

    _run(scene)


def test_time_used_is_forgotten() -> None:
    async def scene() -> None:
        world = World()
        await world.ask("a:1")
        await world.end("a:1", 4.0)
        assert not world.turns._is_light("a")
        world.now += 5 * HALF_SECONDS
        assert world.turns._is_light("a")

    _run(scene)


def test_one_client_alone_has_all_threads_but_the_kept_one() -> None:
    async def scene() -> None:
        world = World(threads=2)
        for number in range(4):
            await world.ask(f"a:{number}")
        assert world.log == ["a:0", "a:1"]
        await world.end("a:0", 0.1)
        assert world.log == ["a:0", "a:1", "a:2"]

    _run(scene)


def test_too_many_are_turned_away_at_once() -> None:
    """In all, and of one client; the others still come in."""

    async def scene() -> None:
        world = World(threads=1, each=2)
        for number in range(3):
            await world.ask(f"a:{number}")
        with pytest.raises(TooMany):
            await (await world.ask("a:3"))
        await world.ask("b:1", most=4)
        assert world.log == ["a:0", "b:1"], "b has the thread that is kept"
        await world.ask("b:2", most=4)
        assert world.turns.waiting == 3
        with pytest.raises(TooMany):
            await (await world.ask("c:1", most=3))

    _run(scene)


def test_who_goes_away_while_waiting_leaves_no_gap() -> None:
    async def scene() -> None:
        world = World(threads=1)
        await world.ask("a:0")
        gone = await world.ask("a:1")
        await world.ask("a:2")
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        assert world.turns.waiting == 1
        await world.end("a:0")
        assert world.log == ["a:0", "a:2"]
        await world.end("a:2")
        assert world.turns._running.total() == world.turns.waiting == 0
        assert world.turns._waiting == {}

    _run(scene)


def test_who_goes_away_as_the_turn_comes_hands_it_on() -> None:
    async def scene() -> None:
        world = World(threads=1)
        await world.ask("a:0")
        gone = await world.ask("a:1")
        await world.ask("a:2")
        world._ends["a:0"].set()
        asyncio.get_running_loop().call_soon(gone.cancel)  # after a:0 has handed its turn on
        await settle()
        assert world.log == ["a:0", "a:2"]
        assert gone.cancelled()

    _run(scene)


def test_no_more_clients_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_CLIENTS", 10)

    async def scene() -> None:
        world = World()
        for number in range(100):
            await world.ask(f"{number}:0")
            await world.end(f"{number}:0", 0.001)
        assert len(world.turns._used) == 10
        assert world.turns._running == {}

    _run(scene)
