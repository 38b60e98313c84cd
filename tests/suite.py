"""Pytest plugin of the suite: the order of the files, the marker ``slow``, and the list of allowed skips."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests import durations
from tests.skips import is_allowed

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

CHEAP_FIXTURES: Final = frozenset({"own_cache"})
"""Fixtures of the suite that outlive one test and are quick to set up."""

# Hundreds of processes of the command start in a run. Without this, where bytecode is switched off, each of them would
# compile every module that it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow tests; let the workers of pytest-xdist start with the slowest files.

    Once the short files are all that is left, no worker waits long for the other one.
    """
    seconds = durations.load()
    for item in items:
        if is_slow(item, seconds):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -seconds.get(_file(item), float("inf")))


def pytest_collection_finish() -> None:
    """Exempt what was imported and collected from garbage collection: a million objects, in the tests' forks too."""
    gc.collect()
    gc.freeze()


def is_slow(item: pytest.Item, seconds: dict[str, float]) -> bool:
    """Return whether a test was measured as slow or has a fixture of the suite that outlives one test.

    Such fixtures are the servers, the browsers, the built sites and the environments.
    """
    return _function(item) in seconds or any(
        found[-1].baseid.startswith("tests") and found[-1].scope != "function" and name not in CHEAP_FIXTURES
        for name, found in _fixtures(item).items()
    )


def _fixtures(item: pytest.Item) -> Mapping[str, Sequence[pytest.FixtureDef[object]]]:
    """Return the definitions of all fixtures that a test needs, directly or through others."""
    return item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _function(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip that is not listed in ``tests/skips.py`` into a failure."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module's skip that is not listed in ``tests/skips.py`` into a failure."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and not is_allowed(report.nodeid):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped; let it run or list it with a reason in tests/skips.py"
