"""The path finder: sequences of lenses, for the library, the site and the AppView.

Shorter paths come first; of equal length, those with the lower penalty (unverified lenses), then in the order of their
lenses. The graph is a function: ``leaving(place)`` gives the lenses from a place, in order, each with its end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

P = TypeVar("P", bound="Hashable")
"""A place: a sample type or schema."""
L = TypeVar("L")
"""A lens."""
_Key: TypeAlias = tuple[int, tuple[Any, ...]]

MAX_TRIED: Final = 20_000
"""Steps of one search for all paths between two places, so that any tangle of lenses costs milliseconds."""
_MAX_LOOKED: Final = 100_000
"""Lenses at which the distances of a search are measured."""
_UNLIMITED: Final = 1_000_000_000


def best_paths(
    start: P,
    leaving: Callable[[P], Iterable[tuple[L, P]]],
    rank: Callable[[L], tuple[int, Any]],
    *,
    longest: int = _UNLIMITED,
    most: int = _UNLIMITED,
) -> dict[P, tuple[L, ...]]:
    """Return the best path to each place within ``longest`` steps, best first: the ``most`` best, and one more if any.

    The first is the path of no lenses to ``start`` itself. ``rank`` is a lens's penalty and its place in the order. A
    place with ten thousand lenses costs no more than ``most``: with lenses in the order of their ranks, those that
    follow can't be among the best.
    """
    paths: dict[P, tuple[L, ...]] = {start: ()}
    level: list[tuple[_Key, P]] = [((0, ()), start)]
    for _ in range(longest):
        best: dict[P, tuple[_Key, tuple[L, ...]]] = {}
        for (penalty, order), here in level:
            for lens, end in islice(leaving(here), most + len(paths) + 1):
                if end not in paths:
                    more, place = rank(lens)
                    key = (penalty + more, (*order, place))
                    if end not in best or key < best[end][0]:
                        best[end] = key, (*paths[here], lens)
        level = sorted(((key, end) for end, (key, _) in best.items()), key=lambda pair: pair[0])
        level = level[: most + 2 - len(paths)]
        paths.update((end, best[end][1]) for _, end in level)
        if not level or len(paths) > most + 1:
            break
    return paths


def paths_between(
    start: P,
    end: P,
    leaving: Callable[[P], Iterable[tuple[L, P]]],
    entering: Callable[[P], Iterable[P]],
    rank: Callable[[L], tuple[int, Any]],
    *,
    longest: int,
    most: int,
) -> list[tuple[L, ...]]:
    """Return the ``most`` best paths that meet no place twice; none from a place to itself.

    ``entering`` gives the places from which lenses lead to a place. Of more paths than can be walked within
    :data:`MAX_TRIED` steps, the best of those walked are returned; the shortest ones are always among them.
    """
    distances = _distances(start, end, entering, longest)
    if start == end or start not in distances:
        return []
    found: list[tuple[L, ...]] = []
    for length in range(distances[start], longest + 1):
        ranked = [([rank(lens) for lens in path], path) for path in _walk(start, end, leaving, distances, length)]
        ranked.sort(key=lambda pair: (sum(penalty for penalty, _ in pair[0]), [place for _, place in pair[0]]))
        found += [path for _, path in ranked]
        if len(found) >= most:
            break
    return found[:most]


def _distances(start: P, end: P, entering: Callable[[P], Iterable[P]], longest: int) -> dict[P, int]:
    """Return the number of lenses from each place to ``end``, up to ``longest``."""
    distances, level, looked = {end: 0}, [end], 0
    for distance in range(1, longest + 1):
        following = []
        for here in level:
            for before in entering(here):
                looked += 1
                if before not in distances:
                    distances[before] = distance
                    following.append(before)
            if looked > _MAX_LOOKED and start in distances:
                return distances
        level = following
    return distances


def _walk(
    start: P, end: P, leaving: Callable[[P], Iterable[tuple[L, P]]], distances: dict[P, int], length: int
) -> Iterator[tuple[L, ...]]:
    """Yield the paths of exactly this length that meet no place twice."""
    tried = 0
    stack: list[tuple[P, tuple[L, ...], frozenset[P]]] = [(start, (), frozenset((start,)))]
    while stack and tried < MAX_TRIED:
        here, path, met = stack.pop()
        left = length - len(path)
        if here == end:
            if not left:
                yield path
            continue
        for lens, after in reversed([*leaving(here)]):
            tried += 1
            if after not in met and distances.get(after, length) < left:
                stack.append((after, (*path, lens), met | {after}))
