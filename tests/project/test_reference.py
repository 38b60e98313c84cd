"""The reference: what is committed is what the code says now, and it says all that there is, and nothing else."""

from __future__ import annotations

import inspect
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any

import click
import pytest

import catalog
from catalog import errors
from catalog.cli import cli
from catalog.config import table
from docs.generate_reference import PAGES, commands, dependencies, lexicons, manifests, python
from docs.generate_reference.markdown import anchor, escape, from_docstring, headings
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = ROOT / "docs" / "reference"
OWN_WORKERS = {"CATALOG_APPVIEW"}
"""A variable that the AppView sets for its own processes."""
VARIABLE = re.compile(r"[\"'](CATALOG_[A-Z_]+|AWS_[A-Z0-9_]+|SSL_CERT_[A-Z]+|SOURCE_DATE_EPOCH|GITHUB_[A-Z]+)[\"']")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: (FOLDER / name).read_text(encoding="utf-8") for name in PAGES}


@pytest.mark.parametrize(("name", "make"), PAGES.items())
def test_the_committed_page_is_what_the_code_says_now(name: str, make: Callable[[], str]) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == make(), "run `make reference` and look at the difference"


def test_there_is_no_other_page_and_the_site_shows_each(pages: dict[str, str]) -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(pages)
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert set(re.findall(r": reference/(\S+)", nav)) == set(pages)


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Another way to all of them than the generator's: by asking each group, as a terminal does."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from _commands(f"{name} {word}", inner)


def test_each_command_is_told_and_nothing_else(pages: dict[str, str]) -> None:
    there = dict(_commands("catalog", cli))
    assert set(headings(pages["command-line.md"])) == set(there)
    assert len(there) == len(list(commands.every_command()))


def _section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next."""
    found = re.search(rf"^#+ `?{re.escape(heading)}`?\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


@pytest.mark.parametrize(("name", "command"), list(_commands("catalog", cli)))
def test_each_option_is_told_with_its_default_and_choices_and_no_other(
    name: str, command: click.Command, pages: dict[str, str]
) -> None:
    text = _section(pages["command-line.md"], name)
    told = {word for line in text.splitlines() if line.startswith("- `-") for word in re.findall(r"`(-[\w-]+)", line)}
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert told == {word for one in options for word in one.opts}
    assert "Example:" in text
    for one in options:
        assert one.help, f"{name} {one.opts}: no help"
        entry = re.search(rf"^- .*`{one.opts[-1]}\b[^\n]*\n(.*)$", text, re.MULTILINE)
        assert entry is not None
        assert escape(one.help).rstrip(".") in entry[1]
        if isinstance(one.type, click.Choice):
            assert all(f"`{choice}`" in entry[1] for choice in one.type.choices)
        if one.show_default:
            stated = one.show_default if isinstance(one.show_default, str) else None
            default = one.to_info_dict()["default"] if stated is None else stated
            assert f"Default: `{default:g}`" in entry[1] if isinstance(default, float) else f"`{default}`" in entry[1]
    usage = text.partition("```text\n")[2].partition("\n")[0]
    for argument in command.params:
        if isinstance(argument, click.Argument):
            assert argument.make_metavar(click.Context(command)) in usage


def test_each_setting_source_and_variable_is_told_and_no_other(pages: dict[str, str]) -> None:
    page = pages["configuration.md"]
    groups = {"Settings", "Source types", "Environment variables"}
    expected = {one.name for one in table.SETTINGS} | {f"sources: {one.name}" for one in table.SOURCES} | groups
    assert set(headings(page)) == expected
    told = re.findall(r"^- `([A-Z_0-9]+)`", _section(page, "Environment variables"), re.MULTILINE)
    assert told == [one.name for others in (False, True) for one in table.VARIABLES if one.others == others]


def test_each_variable_that_the_code_names_is_in_the_table_and_none_is_made_up() -> None:
    files = [file for file in (ROOT / "catalog").rglob("*.py") if file != ROOT / "catalog" / "config" / "table.py"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    known = {one.name for one in table.VARIABLES}
    assert set(VARIABLE.findall(text)) - known == OWN_WORKERS
    assert {name for name in known if name not in text and not name.startswith("AWS_")} == set()


def test_each_key_of_a_manifest_is_told_in_its_section_and_no_other(pages: dict[str, str]) -> None:
    page = pages["manifests.md"]
    assert set(headings(page)) == {*manifests.tables(), "Field types", "Example"}
    for title, one in manifests.tables().items():
        entries = re.findall(r"^- `(\w+)`: .*?(required|optional)  $", _section(page, title), re.MULTILINE)
        assert dict(entries) == {
            key: "required" if key in one.get("required", ()) else "optional" for key in one["properties"]
        }


def test_each_error_is_told_with_cause_and_cure_and_no_other(pages: dict[str, str]) -> None:
    names = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)} - {"Fault"}
    assert set(headings(pages["errors.md"])) == {*names, "Hierarchy"}
    for name in names:
        section = _section(pages["errors.md"], name)
        assert "**Cause:** " in section, name
        assert "**Cure:** " in section, name
    tree = _section(pages["errors.md"], "Hierarchy")
    assert names == set(re.findall(r"^[│├└─ ]*([A-Z]\w+)", tree, re.MULTILINE)), "the drawing has each class"


def test_each_definition_of_the_lexicons_is_told_and_no_other(pages: dict[str, str]) -> None:
    shown = {name for name, one in lexicons.definitions().items() if one["type"] != "token"}
    told = headings(pages["lexicons.md"]) + headings(pages["queries.md"])
    assert sorted(told) == sorted(shown)
    assert {name.partition("#")[0] for name in shown} == {file.stem for file in (ROOT / "lexicons").glob("*.json")}


@pytest.mark.parametrize("name", [name for name, one in lexicons.definitions().items() if one["type"] != "token"])
def test_each_field_parameter_and_error_of_a_definition_is_told_and_no_other(name: str, pages: dict[str, str]) -> None:
    one: dict[str, Any] = lexicons.definitions()[name]
    page = pages["queries.md"] if name in headings(pages["queries.md"]) else pages["lexicons.md"]
    whole = one.get("record", one)
    maps = [whole, whole.get("parameters", {}), whole.get("output", {}).get("schema", {})]
    expected = [key for each in maps for key in each.get("properties", {})]
    expected += [error["name"] for error in one.get("errors", ())] + list(one.get("knownValues", ()))
    assert sorted(re.findall(r"^- `([^`]+)`", _section(page, name), re.MULTILINE)) == sorted(expected)


def test_each_public_name_is_told_and_every_heading_is_one(pages: dict[str, str]) -> None:
    told = headings(pages["python.md"])
    bare = {one.removeprefix("class ").removesuffix("()") for one in told}
    assert {name for name in catalog.__all__ if name != "__version__"} <= bare
    expected: set[str] = set(python.public())
    for names in python.public().values():
        for name, one in names.items():
            if inspect.isclass(one) or inspect.isroutine(one):
                expected.add(name)
            if inspect.isclass(one):
                expected |= {f"{name}.{member}" for member in python.members(one)}
    assert bare == {name.replace("`", "") for name in expected}
    assert not any(re.search(r"(^|[. ])_(?!_)", one) for one in told), "nothing private"


def test_each_public_name_and_member_has_a_docstring_of_its_own() -> None:
    missing = []
    for names in python.public().values():
        for name, one in names.items():
            if not (inspect.isclass(one) or inspect.isroutine(one)):
                continue
            if not inspect.getdoc(one):
                missing.append(name)
            members = python.members(one) if inspect.isclass(one) else []
            missing += [f"{name}.{word}" for word in members if not inspect.getdoc(inspect.getattr_static(one, word))]
    assert missing == []


def test_every_link_of_the_pages_leads_to_a_heading(pages: dict[str, str]) -> None:
    """Also as a forge makes them; and no two headings of a page have one fragment."""
    places = {name: [anchor(one) for one in headings(page)] for name, page in pages.items()}
    for name, page in pages.items():
        assert len(set(places[name])) == len(places[name]), name
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)]+)\)", prose):
            file, _, fragment = target.partition("#")
            if file.startswith("https://"):
                continue
            if file and file not in pages:
                assert (FOLDER / file).is_file(), target
            elif fragment:
                assert fragment in places[file or name], f"{name}: {target}"


def test_no_page_names_this_machine(pages: dict[str, str]) -> None:
    for page in pages.values():
        assert os.fspath(ROOT) not in page
        assert not re.search(r"0x[0-9a-f]{6,}", page), "an address in memory changes with every run"


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Raises :class:`~catalog.errors.StoreError`.", ["Raises [`StoreError`](errors.md#storeerror)."]),
        ("As :meth:`~a.B.get`, or ``x[*]``.", ["As `get`, or `x[*]`."]),
        ("So::\n\n    a = 1\n\n    b = 2\n\nThen *this*.", ["So:", "```python\na = 1\n\nb = 2\n```", "Then *this*."]),
        ("Not <b> and a_b, but 2 * 3.", [r"Not \<b> and a_b, but 2 \* 3."]),
    ],
)
def test_a_docstring_becomes_markdown(docstring: str, expected: list[str]) -> None:
    assert from_docstring(docstring, {"StoreError": "errors.md#storeerror"}) == expected


# --- dependencies ----------------------------------------------------------------------------------------------------


def test_each_dependency_says_what_it_is_for_and_no_other_is_told(pages: dict[str, str]) -> None:
    """In pyproject.toml, from where the page has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for named in extras.values() for one in named)]
    assert set(dependencies.purposes()) == set(wanted)
    assert sorted(re.findall(r"^\| `([^`]+)` \| [A-Z\d`]", pages["dependencies.md"], re.MULTILINE)) == sorted(wanted)
    assert set(headings(pages["dependencies.md"])) == {"Base", *extras}
