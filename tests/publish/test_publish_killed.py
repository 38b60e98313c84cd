"""Publishing that is killed, and run again; and two that publish at once. The long version is ``make soak``."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.killing import Publishing, State, compared, first_manifests, kill_once, later_manifests, state_of
from tests.real_manifests import real_datasets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Network

ROWS = real_datasets()[:40]
pytestmark = pytest.mark.publishing
KILLS = 5


def _publishing(network: Network, folder: Path) -> Publishing:
    return Publishing(network=network, account=network.account("killed"), folder=folder, batch=5)


@pytest.fixture(scope="module")
def calm(network: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[State, State, float]:
    """The state of an undisturbed account after the first and the later manifests, and the duration."""
    made = _publishing(network, tmp_path_factory.mktemp("calm") / "manifests")
    made.write(first_manifests(ROWS))
    usual = made.finish()
    first = made.state()
    made.write(later_manifests(ROWS))
    made.finish()
    return first, made.state(), usual


@pytest.mark.parametrize("seed", range(KILLS))
def test_what_was_killed_and_run_again_is_as_if_it_had_run_once(
    network: Network, tmp_path: Path, calm: tuple[State, State, float], seed: int
) -> None:
    """Names, contents, no doubles, no stray labels; then there is nothing left to write."""
    chance = random.Random(seed)  # noqa: S311 - to have the same moments again
    made = _publishing(network, tmp_path / "manifests")
    made.write(first_manifests(ROWS))
    if seed % 2:
        made.finish()
        made.write(later_manifests(ROWS))
    kill_once(made, calm[2], chance)
    made.finish()
    assert compared(made.state(), calm[1] if seed % 2 else calm[0]) == []
    rev = network.latest_rev(made.account.did)
    made.finish()
    assert network.latest_rev(made.account.did) == rev


def test_of_two_at_once_one_wins(network: Network, tmp_path: Path, calm: tuple[State, State, float]) -> None:
    """The other says what happened, and has written nothing twice."""
    made = _publishing(network, tmp_path / "manifests")
    made.write(first_manifests(ROWS))
    (tmp_path / "meeting").mkdir()
    pair = [made.start(tmp_path / "meeting"), made.start(tmp_path / "meeting")]
    said = [process.communicate(timeout=120) for process in pair]
    assert sorted(process.returncode for process in pair) == [0, 1], said
    loser = next(error for process, (_, error) in zip(pair, said, strict=True) if process.returncode)
    assert f"another client wrote to {made.account.handle} meanwhile" in loser
    assert "Traceback" not in loser
    assert compared(made.state(), calm[0]) == []


def test_the_comparison_sees_doubles_and_strays() -> None:
    """Or the tests above could not fail."""
    label = {"$type": "science.alt.dataset.label", "name": "a", "version": "1.0.0", "createdAt": "now"}
    here, there = "at://x/science.alt.dataset.entry/1", "at://x/science.alt.dataset.entry/2"
    dataset = {"value": {"name": "a", "createdAt": "now"}, "cid": "c1"}
    one = {here: dataset, "at://x/science.alt.dataset.label/1": {"value": {**label, "datasetUri": here}, "cid": "c2"}}
    with pytest.raises(RuntimeError, match="there twice"):
        state_of({**one, there: dataset})
    stray = {
        here: dataset,
        "at://x/science.alt.dataset.label/1": {"value": {**label, "datasetUri": there}, "cid": "c3"},
    }
    assert [line.partition(":")[0] for line in compared(state_of(stray), state_of(one))] == ["different"]
    assert compared(state_of({here: dataset}), state_of(one)) == ["missing: label a 1.0.0"]
    assert compared(state_of(one), state_of({here: dataset})) == ["too many: label a 1.0.0"]
