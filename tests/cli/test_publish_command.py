"""``catalog plan`` and ``publish`` as people and scripts run them: a process, a real PDS, a terminal or none."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests import forked
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

EXAMPLES = ROOT / "examples" / "manifests"
DIGITS = EXAMPLES / "digits.yaml"
SECRET = "CATALOG_APP_PASSWORD"


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("commander")


def _environment(account: Account | None, *, password: bool) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("CATALOG_HANDLE", SECRET)}
    if account is not None:
        kept["CATALOG_HANDLE"] = account.handle
    if account is not None and password:
        kept[SECRET] = account.password
    return kept


def _run(
    *arguments: str, cwd: Path, account: Account | None = None, password: bool = True
) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", "catalog", *arguments],
        cwd=cwd,
        env=_environment(account, password=password),
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def _on_a_terminal(
    *arguments: str, cwd: Path, account: Account, answers: dict[str, str], password: bool = True
) -> tuple[int, str]:
    """Return the output for a user who answers each question once, and the exit code."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "catalog", *arguments]
    environment = {**_environment(account, password=password), "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen, waiting, deadline = "", dict(answers), time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        seen += piece.decode(errors="replace")
        for question in [one for one in waiting if one in seen]:
            os.write(ours, f"{waiting.pop(question)}\n".encode())
    os.close(ours)
    assert not waiting, f"never asked: {waiting}; seen: {seen}"
    return process.wait(60), seen


def test_a_plan_needs_no_password(account: Account, network: Network, tmp_path: Path) -> None:
    """Lines on standard output, JSON or Markdown when asked; exit code 0; the rev stays."""
    rev = network.latest_rev(account.did)
    ran = _run("plan", str(DIGITS), cwd=tmp_path, account=account, password=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0] == f"+ schema DigitSample@1.0.0  {DIGITS}:{_line('name: DigitSample')}"
    assert ran.stdout.splitlines()[-1].startswith(f"{account.handle}: ")
    assert "\x1b[" not in ran.stdout
    found = json.loads(_run("plan", "--json", str(DIGITS), cwd=tmp_path, account=account, password=False).stdout)
    assert found["counts"]["create"] == len(found["changes"]) > 0
    markdown = _run("plan", "--markdown", str(DIGITS), cwd=tmp_path, account=account, password=False).stdout
    assert markdown.startswith(f"### Plan for `{account.handle}`\n")
    assert network.latest_rev(account.did) == rev
    assert list(tmp_path.iterdir()) == []


def _line(text: str) -> int:
    lines = DIGITS.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_script_must_say_yes(account: Account, network: Network, tmp_path: Path) -> None:
    """Without a terminal, a plan that writes needs --yes; one without writes doesn't."""
    rev = network.latest_rev(account.did)
    ran = _run("publish", str(DIGITS), cwd=tmp_path, account=account)
    assert ran.returncode == 2
    assert "--yes" in ran.stderr
    assert network.latest_rev(account.did) == rev
    done = _run("publish", "--yes", str(DIGITS), cwd=tmp_path, account=account)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(" created")
    rev = network.latest_rev(account.did)
    again = _run("publish", str(DIGITS), cwd=tmp_path, account=account)
    assert again.returncode == 0, again.stderr
    assert again.stdout.endswith(" unchanged\n")
    assert network.latest_rev(account.did) == rev


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_on_a_terminal_the_plan_is_shown_and_asked_about(
    account: Account, network: Network, tmp_path: Path, answer: str, code: int
) -> None:
    """In colour; a no leaves everything as it is."""
    rev = network.latest_rev(account.did)
    ended, seen = _on_a_terminal("publish", str(DIGITS), cwd=tmp_path, account=account, answers={"Publish?": answer})
    assert ended == code, seen
    assert "\x1b[32m+ schema DigitSample@1.0.0" in seen
    assert (network.latest_rev(account.did) != rev) is (answer == "y")


def test_a_password_is_asked_for_and_not_shown(account: Account, network: Network, tmp_path: Path) -> None:
    """Typed at the prompt, it isn't echoed."""
    rev = network.latest_rev(account.did)
    ended, seen = _on_a_terminal(
        "publish",
        str(DIGITS),
        cwd=tmp_path,
        account=account,
        password=False,
        answers={"password": account.password, "Publish?": "y"},
    )
    assert ended == 0, seen
    assert account.password not in seen
    assert network.latest_rev(account.did) != rev


def test_pruning_deletes_what_the_manifests_dropped(account: Account, network: Network, tmp_path: Path) -> None:
    """The closing line counts it; the JSON names it."""
    manifest = tmp_path / "a.yaml"
    both = (
        "schemas:\n  - {name: A, version: 1.0.0, fields: {a: int}}\n  - {name: B, version: 1.0.0, fields: {a: int}}\n"
    )
    manifest.write_text(both, encoding="utf-8")
    _run("publish", "--yes", str(manifest), cwd=tmp_path, account=account)
    manifest.write_text("\n".join(both.splitlines()[:2]), encoding="utf-8")
    kept = _run("plan", str(manifest), cwd=tmp_path, account=account, password=False).stdout
    assert "! 1 published record is in no manifest any more (schema B@1.0.0) (--prune deletes them)" in kept
    ran = _run("publish", "--yes", "--prune", "--json", str(manifest), cwd=tmp_path, account=account)
    report = json.loads(ran.stdout)
    assert [report["names"][uri] for uri in report["deleted"]] == ["schema B@1.0.0"]
    listed = network.get(
        "com.atproto.repo.listRecords", {"repo": account.did, "collection": "science.alt.dataset.schema"}
    )
    assert [record["value"]["name"] for record in listed["records"]] == ["A"]


def test_a_changed_schema_is_told_with_its_cure(account: Account, tmp_path: Path) -> None:
    """By plan and by publish alike: exit code 1, the change, the verdict, the version."""
    manifest = tmp_path / "a.yaml"
    manifest.write_text("schemas: [{name: A, version: 1.0.0, fields: {a: int}}]\n", encoding="utf-8")
    _run("publish", "--yes", str(manifest), cwd=tmp_path, account=account)
    manifest.write_text("schemas: [{name: A, version: 1.0.0, fields: {a: str}}]\n", encoding="utf-8")
    for command in (("plan",), ("publish", "--yes")):
        ran = _run(*command, str(manifest), cwd=tmp_path, account=account)
        assert ran.returncode == 1
        assert ran.stdout == ""
        assert f"{manifest.name}:1: schema A@1.0.0 is published with other content" in ran.stderr
        assert "give it version 2.0.0" in ran.stderr
        assert "reading old data: breaks" in ran.stderr
