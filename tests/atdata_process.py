"""Run the programs of ``tests/atdata_peer.py``, in the environment of atdata (``.venv-atdata``)."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.paths import ROOT

PYTHON = ROOT / ".venv-atdata" / "bin" / "python"


def peer(what: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - as the program takes them
    """Run a program of ``tests/atdata_peer.py`` with atdata."""
    if not PYTHON.exists():
        pytest.fail("atdata is not installed: run `make test`, or `make .venv-atdata/.installed`", pytrace=False)
    command = [str(PYTHON), "-P", str(ROOT / "tests" / "atdata_peer.py")]
    wanted, path = json.dumps({"do": what, **arguments}), {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False, env=path)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
