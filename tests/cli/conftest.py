"""A repository on a stand-in for GitHub, for the runs of its workflows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from catalog.cli import cli
from tests.sharedfiles import made_once
from tests.starter import fill_in
from tests.wheels import TOKEN, build_wheel, with_secrets
from tests.workflowruns import Environment, Hub, build_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Account, Network


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that has this tree's wheel."""
    wheel = made_once(tmp_path_factory, "wheel", build_wheel)
    return made_once(tmp_path_factory, "runner", lambda place: build_environment(place, wheel))


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("alice")


@pytest.fixture
def hub(tmp_path: Path, python: Environment, network: Network, account: Account) -> Iterator[Hub]:
    """A scaffolded repository on GitHub, variable and secret set; afterwards neither secret nor token is anywhere."""
    assert account.access_jwt.encode().startswith(TOKEN), "or the search for tokens would find none"
    source = tmp_path / "source"
    cli.main(["init", str(source), "--site-url", "https://alice.github.example/datasets/"], standalone_mode=False)
    fill_in(source)
    where = {name: value for name, value in os.environ.items() if name.startswith("CATALOG_")}
    assert "CATALOG_APP_PASSWORD" not in where
    hub = Hub(
        source=source,
        folder=tmp_path / "github",
        python=python,
        variables={"CATALOG_HANDLE": account.handle},
        secrets={"CATALOG_APP_PASSWORD": account.password},
        environment=where,
    )
    assert network.pds_url
    yield hub
    assert with_secrets(account.password, tmp_path) == []
    said = "".join(run.log + run.summary for run in hub.runs)
    assert account.password not in said
    assert TOKEN.decode() not in said
