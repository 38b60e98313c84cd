"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from catalog.cli import cli
from tests import forked
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Network

EXAMPLES = ROOT / "examples" / "manifests"


def _run(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    hidden = ("CATALOG_HANDLE", "CATALOG_APP_PASSWORD")
    return forked.run(
        [sys.executable, "-m", "catalog", *arguments],
        cwd=cwd,
        env={**{key: value for key, value in os.environ.items() if key not in hidden}, **extra},
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def test_the_commands_are_this_list() -> None:
    """A change here is a change of the public interface."""
    assert sorted(cli.commands) == [
        "appview",
        "build",
        "codegen",
        "compat",
        "crawl",
        "import",
        "init",
        "load",
        "login",
        "logout",
        "manifest",
        "mcp",
        "plan",
        "publish",
        "search",
        "serve",
        "store",
        "validate",
        "verify",
        "withdraw",
    ]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    """A sentence of purpose, then a line to copy."""
    command = cli.commands[name]
    with click.Context(command, info_name=f"catalog {name}") as context:
        text = command.get_help(context)
    assert f"Example: catalog {name}" in text
    assert all(getattr(option, "help", None) for option in command.params if isinstance(option, click.Option))


def test_no_command_takes_a_password() -> None:
    """Arguments are seen by every process of the machine and kept in shell histories."""
    params = [param for command in cli.commands.values() for param in command.params]
    assert "--handle" in {opt for param in params for opt in param.opts}
    taking = [opt for param in params if not getattr(param, "is_flag", False) for opt in param.opts]
    assert not [opt for opt in taking if "password" in opt or "token" in opt]


def test_valid_manifests_say_what_they_hold(tmp_path: Path) -> None:
    """On standard output, also as JSON; exit code 0; nothing written."""
    plain = _run("validate", str(EXAMPLES), cwd=tmp_path)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout.startswith("valid: ")
    answer = json.loads(_run("validate", "--json", str(EXAMPLES), cwd=tmp_path).stdout)
    assert answer["ok"] is True
    assert answer["datasets"] >= 3
    assert answer["schemas"] >= 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["validate", "nowhere.yaml"], 1, "nowhere.yaml"),
        (["validate"], 2, "MANIFEST"),
        (["publsih"], 2, "publsih"),
        (["build", "--nonsense"], 2, "--nonsense"),
        (["crawl"], 1, "mkdocs.yml"),
        (["build"], 1, "mkdocs.yml"),
        (["publish", "--yes", str(EXAMPLES)], 2, "CATALOG_HANDLE"),
        (["publish", "--handle", "alice.example.org", str(EXAMPLES)], 2, "CATALOG_APP_PASSWORD"),
    ],
)
def test_a_mistake_gets_its_exit_code_and_words(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    """1 for what failed, 2 for misuse; on standard error, without a traceback; nothing written."""
    ran = _run(*arguments, cwd=tmp_path)
    assert ran.returncode == code, ran.stderr
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    """The file, what is wrong, what would be right; before MkDocs has started."""
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nplugins:\n  - catalog:\n      sorces: []\n", encoding="utf-8")
    ran = _run("build", cwd=tmp_path)
    assert ran.returncode == 1
    assert "sorces" in ran.stderr
    assert "sources" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_crawl_says_what_it_did_in_one_line_a_source(tmp_path: Path) -> None:
    """And as JSON on standard output, for a program."""
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: x\nplugins:\n  - catalog:\n      store: s.sqlite\n      sources:\n"
        f"        - manifests: {EXAMPLES}\n",
        encoding="utf-8",
    )
    ran = _run("crawl", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "records: " in ran.stderr
    report = json.loads(_run("crawl", "--json", cwd=tmp_path).stdout)
    assert report["sources"]
    assert (tmp_path / "s.sqlite.search").is_file()  # the first search needn't make it


def test_a_wrong_password_is_told_without_it(tmp_path: Path, network: Network) -> None:
    """The account exists, the password doesn't fit: one line, exit code 1, no secret in it."""
    account = network.account("locked")
    ran = _run(
        "publish",
        "--yes",
        str(EXAMPLES),
        cwd=tmp_path,
        CATALOG_HANDLE=account.handle,
        CATALOG_APP_PASSWORD="not-the-secret",
    )
    assert ran.returncode == 1
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "not-the-secret" not in ran.stdout + ran.stderr


# --- codegen, compat, load -----------------------------------------------------------------------------------

DIGITS = f"{EXAMPLES / 'digits.yaml'}#DigitSample"


def test_codegen_prints_one_schema_in_any_language(tmp_path: Path) -> None:
    """On standard output, and nothing else there; the same into a file with -o."""
    for language, word in (("python", "class DigitSample"), ("pydantic", "BaseModel"), ("typescript", "interface"),
                           ("rust", "pub struct DigitSample"), ("jsonschema", "draft-07/schema#")):  # fmt: skip
        ran = _run("codegen", f"{DIGITS}@1.1.0", "--lang", language, cwd=tmp_path)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert word in ran.stdout
        written = _run("codegen", f"{DIGITS}@1.1.0", "--lang", language, "-o", "out.txt", cwd=tmp_path)
        assert (written.stdout, written.stderr) == ("", "wrote out.txt\n")
        assert (tmp_path / "out.txt").read_text(encoding="utf-8") == ran.stdout


def test_codegen_writes_a_package_of_several_schemas(tmp_path: Path) -> None:
    """Into a folder, which is made; what is generated imports."""
    ran = _run("codegen", str(EXAMPLES), "-o", "types", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "types" / "__init__.py").is_file()
    code = "import types_; print(types_.DigitSample.__name__)"
    (tmp_path / "types").rename(tmp_path / "types_")
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout == "DigitSample\n", ran.stderr


def test_templates_of_a_user_take_the_place_of_ours(tmp_path: Path) -> None:
    """Only those that are in the folder."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "jsonschema.jinja").write_text("mine\n", encoding="utf-8")
    own = _run("codegen", f"{DIGITS}@1.0.0", "--lang", "jsonschema", "--templates", "own", cwd=tmp_path)
    assert own.stdout == "mine\n", own.stderr
    other = _run("codegen", f"{DIGITS}@1.0.0", "--lang", "rust", "--templates", "own", cwd=tmp_path)
    assert "pub struct" in other.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["codegen", str(EXAMPLES)], 2, "7 schemas"),
        (["codegen", DIGITS], 2, "2 schemas"),
        (["codegen", f"{DIGITS}@9.0.0"], 1, "DigitSample@1.0.0"),
        (["codegen", f"{DIGITS}@1.0.0", "--package"], 2, "-o FOLDER"),
        (["codegen", f"{DIGITS}@1.0.0", "--lang", "cobol"], 2, "'cobol'"),
        (["codegen", f"{DIGITS}@1.0.0", "-o", "no/such/folder.py"], 1, "can't be written"),
        (["codegen", "nowhere.yaml"], 1, "nowhere.yaml"),
        (["codegen", "what is this"], 1, "a file, a folder of manifests"),
        (["compat", DIGITS, f"{DIGITS}@1.0.0"], 2, "2 schemas"),
        (["compat", f"{DIGITS}@1.0.0"], 2, "NEW"),
        (["load", "pipe:true"], 1, "pipe: is not opened"),
        (["load", "missing.tar"], 1, "missing.tar"),
        (["load", "at://not a did/x/y"], 1, "at://"),
        (["load", "x.tar", "--head", "0"], 2, "--head"),
    ],
)
def test_a_mistake_at_the_data_commands_has_its_words(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    """As everywhere: what, where, what to do; no traceback; nothing half-written."""
    ran = _run(*arguments, cwd=tmp_path)
    assert ran.returncode == code, ran.stderr
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_compat_tells_the_changes_and_fails_for_too_small_a_version(tmp_path: Path) -> None:
    """A line a change on standard output, what is wrong with the version on standard error; the same as JSON."""
    fine = _run("compat", f"{DIGITS}@1.0.0", f"{DIGITS}@1.1.0", cwd=tmp_path)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert "ink is new and optional" in fine.stdout
    back = _run("compat", f"{DIGITS}@1.1.0", f"{DIGITS}@1.0.0", cwd=tmp_path)
    assert back.returncode == 1
    assert "must grow" in back.stderr
    answer = json.loads(_run("compat", "--json", f"{DIGITS}@1.0.0", f"{DIGITS}@1.1.0", cwd=tmp_path).stdout)
    assert (answer["ok"], answer["bump"], answer["readersOfOld"], answer["readersOfNew"]) == (
        True,
        "minor",
        "fine",
        "fine",
    )


def test_load_shows_the_first_samples(tmp_path: Path) -> None:
    """Keys, wire names, arrays by dtype, shape and range; as JSON a line each."""
    shards = EXAMPLES.parent / "shards" / "digits-{000000..000001}.tar"
    shown = _run("load", str(shards), "--head", "1", cwd=tmp_path)
    assert shown.stdout == "00000000\n  image  array[uint8, 8, 8], 0 … 15\n  label  0\n  ink    0.287109\n", (
        shown.stderr
    )
    lines = _run("load", str(shards), "--head", "2", "--json", cwd=tmp_path).stdout.splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 2
    assert first["key"] == "00000000"
    assert first["fields"]["image"]["shape"] == [8, 8]
    assert len(first["fields"]["image"]["values"]) == 8


def test_load_reads_tables_but_csv_only_if_it_is_named(tmp_path: Path) -> None:
    """CSV has no types, and many texts look like one."""
    (tmp_path / "a.csv").write_text("day,rain\nmon,0.5\n")
    (tmp_path / "a.jsonl").write_text('{"day": "mon", "rain": 0.5}\n')
    shown = "000000000\n  day   mon\n  rain  0.5\n"
    assert _run("load", "a.jsonl", cwd=tmp_path).stdout == shown
    assert _run("load", "a.csv", "--format", "csv", cwd=tmp_path).stdout == shown
    ran = _run("load", "a.csv", cwd=tmp_path)
    assert ran.returncode == 1
    assert "a.csv" in ran.stderr
    assert "this is a CSV table" in ran.stderr
    assert "--format csv" in ran.stderr


def test_the_data_commands_take_addresses_and_accounts(tmp_path: Path, network: Network) -> None:
    """A schema's address, a dataset's, a whole account: as files, from the account's own PDS."""
    account = network.account("types")
    secret = {"CATALOG_HANDLE": account.handle, "CATALOG_APP_PASSWORD": account.password}
    published = json.loads(_run("publish", "--yes", "--json", str(EXAMPLES), cwd=tmp_path, **secret).stdout)
    uris = {name: uri for uri, name in published["names"].items()}
    old, new = uris["schema DigitSample@1.0.0"], uris["schema DigitSample@1.1.0"]
    python = _run("codegen", new, cwd=tmp_path)
    assert python.returncode == 0, python.stderr
    assert f'schema="{new}"' in python.stdout.replace("\n", "").replace("    ", "")
    rkey = new.rpartition("/")[2]
    assert network.get_record(account.did, new.split("/")[3], rkey)["cid"] in python.stdout
    dataset = uris["dataset 'Handwritten digits'"]
    assert _run("codegen", dataset, cwd=tmp_path).stdout == python.stdout
    package = _run("codegen", account.handle, "--lang", "typescript", "-o", "out/", cwd=tmp_path)
    assert package.stderr == "wrote 9 files to out\n"
    assert "DigitSampleV1_1_0" in (tmp_path / "out" / "index.ts").read_text(encoding="utf-8")
    assert "ink is new and optional" in _run("compat", old, new, cwd=tmp_path).stdout
    gone = _run("load", dataset, cwd=tmp_path)  # its shards are at an address that doesn't exist
    assert gone.returncode == 1
    assert "data.example" in gone.stderr
    assert len(gone.stderr.splitlines()) == 1


def test_a_console_of_another_encoding_costs_no_answer(tmp_path: Path) -> None:
    """Characters that the terminal lacks become question marks."""
    (tmp_path / "é.yaml").write_text("schemas: [{name: É→, version: 1.0.0, fields: {a: int}}]\n", encoding="utf-8")
    ran = _run("validate", "é.yaml", "→.yaml", cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert (ran.returncode, ran.stdout) == (1, "")
    counted, fault = ran.stderr.splitlines()
    assert counted.startswith("valid manifests: 1 ")
    assert fault.startswith("?.yaml: ")
    assert "Traceback" not in ran.stderr
