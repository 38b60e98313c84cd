"""The path finder: the best paths are those of a search by brute force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from catalog.lenses.paths import best_paths, paths_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    _Lens = tuple[int, int, int, int]
    """Its number, where it starts and ends, and its penalty."""

LENSES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 1)), max_size=14)


def _walks(lenses: list[_Lens], start: int, longest: int) -> Iterator[tuple[_Lens, ...]]:
    """Every walk that meets no place twice."""
    walks: list[tuple[_Lens, ...]] = [()]
    for _ in range(longest):
        walks = [(*walk, lens) for walk in walks for lens in lenses if lens[1] == (walk[-1][2] if walk else start)]
        walks = [walk for walk in walks if len({start, *(lens[2] for lens in walk)}) == len(walk) + 1]
        yield from walks


def _rank(walk: tuple[_Lens, ...]) -> tuple[int, int, list[int]]:
    return len(walk), sum(lens[3] for lens in walk), [lens[0] for lens in walk]


@given(edges=LENSES, longest=st.integers(1, 4), most=st.integers(1, 6))
def test_paths_are_the_best_of_all_walks(edges: list[tuple[int, int, int]], longest: int, most: int) -> None:
    """Also with circles, several lenses between two places, and lenses to where they start."""
    lenses = [(number, *edge) for number, edge in enumerate(edges)]
    for start in range(6):
        walks = sorted(_walks(lenses, start, longest), key=_rank)
        best: dict[int, tuple[_Lens, ...]] = {start: ()}
        for walk in walks:
            best.setdefault(walk[-1][2], walk)
        found = best_paths(
            start,
            # The best lens to each place first, as the slice of a place with more lenses than ``most`` needs.
            lambda place: sorted(
                ((lens, lens[2]) for lens in lenses if lens[1] == place), key=lambda pair: (pair[0][3], pair[0][0])
            ),
            lambda lens: (lens[3], lens[0]),
            longest=longest,
        )
        assert [*found.items()] == [*best.items()]
        for end in range(6):
            between = paths_between(
                start,
                end,
                lambda place: [(lens, lens[2]) for lens in lenses if lens[1] == place],
                lambda place: [lens[1] for lens in lenses if lens[2] == place],
                lambda lens: (lens[3], lens[0]),
                longest=longest,
                most=most,
            )
            assert between == [walk for walk in walks if walk[-1][2] == end][:most]
