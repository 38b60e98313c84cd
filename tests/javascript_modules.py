"""Call functions of the site's JavaScript modules in Node.js."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPT: Final = """
import { readFileSync } from "node:fs";
const { url, name, calls } = JSON.parse(readFileSync(0, "utf8"));
const module = await import(url);
process.stdout.write(JSON.stringify(calls.map((values) => module[name](...values))));
"""


def call_javascript(module: str, name: str, calls: Sequence[Sequence[object]]) -> list[Any]:
    """Return the results of the function ``name`` of a module, one for each list of arguments."""
    url = (ROOT / "site_templates" / "assets" / module).as_uri()
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", _SCRIPT],
        input=json.dumps({"url": url, "name": name, "calls": calls}),
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found
