"""No text of a stranger reaches a terminal or a log unescaped: every way in which the command prints."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
import unicodedata
import warnings
from typing import TYPE_CHECKING

import click
import msgpack
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from catalog.appview.logs import note, set_up_logs
from catalog.cli import cli, main, terminal
from catalog.cli.progress import Progress
from catalog.errors import CatalogError, Fault, InvalidManifest, UnverifiedWarning
from catalog.sanitize import escaped
from catalog.site.plugin import log as site_log
from tests.paths import ROOT
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "\x1b]0;title\x07\x1b[31mred\rover\x9b2J\x7f\u202egnp\u200b\u3164\ufeff\U000e0041\ud800\nforged: line"


def unsafe(text: str) -> list[str]:
    """The characters of a text that a terminal acts upon, or that nobody sees; line feeds and tabs are fine."""
    invisible = {"\u3164", "\u115f", "\u1160", "\uffa0", "\u2800", "\u034f"}
    return [
        char
        for char in text
        if char not in "\n\t"
        and (unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or char in invisible)
    ]


def test_the_oracle_knows_what_it_is_for() -> None:
    """The control."""
    assert len(unsafe(EVIL)) == 12
    assert unsafe("Grüße, 日本語, مرحبا, हिन्दी\n\tx") == []


@given(st.text(st.characters() | st.sampled_from(EVIL)))
def test_escaped_text_is_one_safe_line_and_nothing_is_lost(text: str) -> None:
    """Safe text is unchanged; different texts stay different."""
    shown = escaped(text)
    assert unsafe(shown) == []
    assert not {"\n", "\t"} & set(shown)
    if not unsafe(text) and text.isprintable():
        assert shown in (text, escaped(text))


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\x1b", "\\u001b"),
        ("\n", "\\n"),
        ("\u202e", "\\u202e"),
        ("\U000e0041", "\\U000e0041"),
        ("é", "é"),
        ("\\", "\\"),
    ],
)
def test_characters_are_spelt_as_programs_spell_them(char: str, shown: str) -> None:
    assert escaped(char) == shown


# --- the edge ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["out", "err"])
def test_what_is_printed_is_safe(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Line feeds and tabs pass."""
    (terminal.echo if stream == "out" else terminal.say)(f"a\tb\n{EVIL}")
    shown = getattr(capsys.readouterr(), stream)
    assert unsafe(shown) == []
    assert shown.startswith("a\tb\n\\u001b]0;title")


def test_our_own_styles_pass_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also inside a styled text; the mark of one process is not that of another."""
    monkeypatch.setattr(click.utils, "should_strip_ansi", lambda *_: False)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    terminal.echo(terminal.styled(EVIL, fg="red", bold=True) + EVIL)
    foreign = escaped(EVIL, lines=True)
    terminal.echo(terminal.styled("a", fg="red") + terminal.styled("b", bold=True))
    first = f"\x1b[31m\x1b[1m{foreign}\x1b[0m{foreign}\n"
    assert out.getvalue() == f"{first}\x1b[31ma\x1b[0m\x1b[1mb\x1b[0m\n"


@pytest.mark.parametrize(
    "value", [EVIL, {EVIL: [EVIL]}, [float("nan"), float("inf"), 1.5], {"deep": ({"x": -float("inf")},)}]
)
def test_json_stays_json(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    """In ASCII, without DEL, without the words that JSON lacks; one line."""
    terminal.echo_json(value)
    shown = capsys.readouterr().out
    assert unsafe(shown) == []
    assert shown.isascii()
    assert shown.count("\n") == 1

    def refuse(name: str) -> None:
        pytest.fail(name)

    read = json.loads(shown, parse_constant=refuse)
    assert read == (value if value == EVIL or (isinstance(value, dict) and EVIL in value) else json.loads(shown))


@pytest.mark.parametrize("passing", [True, False])
def test_lines_of_progress_are_safe(passing: bool) -> None:  # noqa: FBT001
    """The line that changes begins with our own codes, and no others."""
    out = io.StringIO()
    terminal.write_line(out, EVIL, passing=passing)
    assert unsafe(out.getvalue().removeprefix("\r\x1b[K")) == []
    log = io.StringIO()
    Progress(log).say(EVIL)
    assert log.getvalue()
    assert unsafe(log.getvalue()) == []


def test_errors_are_safe_wherever_they_are_shown() -> None:
    """Each part; a fault never takes more than its line."""
    error = CatalogError(EVIL, where=EVIL, hint=EVIL)
    faults = InvalidManifest((Fault(where=EVIL, message=EVIL, hint=EVIL),) * 2, where=EVIL)
    assert unsafe(str(error)) == []
    assert unsafe(str(faults)) == []
    assert str(faults).count("\n") == 1


def test_errors_mistakes_and_foreign_exceptions_are_printed_safe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit codes 1, 2 and 1, and without a traceback."""
    for error, code in (
        (CatalogError(EVIL), 1),
        (click.UsageError(EVIL), 2),
        (ValueError(EVIL), 1),
        (SystemError(EVIL), 1),
    ):
        monkeypatch.setattr(cli, "main", _raising(error))
        with pytest.raises(SystemExit) as caught:
            main()
        shown = capsys.readouterr()
        assert caught.value.code == code
        assert unsafe(shown.err + shown.out) == []
        assert "title" in shown.err
        assert "Traceback" not in shown.err


def _raising(error: Exception) -> object:
    def run(**_: object) -> None:
        raise error

    return run


def test_warnings_are_printed_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours each time, whatever the filters; in one line."""
    with terminal.printed_warnings():
        for _ in range(2):
            warnings.warn(UnverifiedWarning(EVIL), stacklevel=1)
    shown = capsys.readouterr().err
    assert unsafe(shown) == []
    assert shown.count("\n") == 2


@pytest.mark.parametrize("json_too", [False, True])
def test_logs_are_safe(json_too: bool, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    """The AppView's, with its fields and tracebacks; a line an event."""
    before = logging.getLogger().handlers[:]
    set_up_logs(as_json=json_too)
    try:
        int(EVIL)
    except ValueError:
        note(EVIL, {"path": EVIL}, level=logging.ERROR)
    finally:
        logging.getLogger().handlers[:] = before
    shown = capsys.readouterr().err
    assert unsafe(shown) == []
    assert shown.count("\n") == 1


def test_the_log_of_a_build_is_safe(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever handler MkDocs has set."""
    site_log.warning("%s is %s", EVIL, "x")
    assert caplog.messages
    assert unsafe("".join(caplog.messages)) == []
    assert "\n" not in "".join(caplog.messages)


def test_only_one_module_prints() -> None:
    """A static look at every file of the command: no other way to standard output or error."""
    ways = {"echo", "secho", "style", "echo_via_pager", "progressbar"}
    found: list[str] = []
    for file in sorted((ROOT / "catalog" / "cli").glob("*.py")):
        if file.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id="click"), attr=name) if name in ways:
                    found.append(f"{file.name}:{node.lineno} click.{name}")
                case ast.Call(func=ast.Name(id="print")):
                    found.append(f"{file.name}:{node.lineno} print")
                case ast.Call(func=ast.Attribute(value=written, attr="write" | "writelines")):
                    if ast.unparse(written) in {"sys.stdout", "sys.stderr", "self._out", "stream"}:
                        found.append(f"{file.name}:{node.lineno} {ast.unparse(node)}")
    assert found == []


# --- the commands --------------------------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Tars whose members have names of that kind, each broken in another way."""
    key = EVIL.replace("\ud800", "").replace("\n", "")
    contents = {
        "good": msgpack.packb({"n": 1}),
        "key": msgpack.packb({key: 1}),
        "text": msgpack.packb({"n": key, "more": {key: [key]}}),
        "not-msgpack": b"\xc1",
        "not-a-map": b"\x93\x01\x02\x03",
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.tar").write_bytes(tar_of((f"{key}.msgpack", content)))
    return tmp_path


@pytest.mark.parametrize("name", ["good", "key", "text", "not-msgpack", "not-a-map"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_names_in_a_shard_are_printed_safe(shards: Path, name: str, more: list[str]) -> None:
    """Of members and fields, in samples and in messages."""
    ran = CliRunner().invoke(cli, ["load", str(shards / f"{name}.tar"), *more])
    assert unsafe(ran.output + str(ran.exception or "")) == []
    assert bool(ran.exception) == name.startswith("not-")


@pytest.mark.parametrize("name", ["good", "key", "text", "not-msgpack"])
def test_names_in_a_shard_are_safe_in_a_drafted_manifest(shards: Path, name: str) -> None:
    ran = CliRunner().invoke(cli, ["manifest", "from-shards", str(shards / f"{name}.tar")])
    assert unsafe(ran.output + str(ran.exception or "")) == []
