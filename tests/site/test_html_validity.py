"""Every kind of page is valid HTML: by html-validate, and by the W3C's own validator where there is a Java."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import sitekinds
from tests.paths import TESTS

if TYPE_CHECKING:
    from tests.conftest import Sites

MODULES = TESTS / "browser" / "node_modules"
HTML_VALIDATE = MODULES / "html-validate" / "bin" / "html-validate.mjs"
VNU = MODULES / "vnu-jar" / "build" / "dist" / "vnu.jar"
SITES = ("varied", "example", "plain", "themed", "hostile")

# Rules that are no law of HTML, or judge what the theme makes of its own and nothing from outside can mend.
LEFT_OUT = {
    "aria-label-misuse": "a list may have a name",
    "attribute-boolean-style": "Python-Markdown writes them with a value; both are valid",
    "doctype-style": "small letters do as well; the theme's",
    "input-missing-label": "the theme's hidden switches of its drawer and its search, which no reader meets",
    "long-title": "a record is called what its publisher calls it",
    "prefer-native-element": "no select has suggestions under a text field; a region's box is a div as well",
    "require-sri": "all that is loaded is of the site itself",
    "unique-landmark": "the theme's table of contents is a nav in a nav",
    "valid-id": "the theme's begin with an underscore; HTML takes any but blanks",
    "void-style": "Python-Markdown closes them; both are valid",
    "wcag/h30": "the theme's links to social places have their name from a title",
    "wcag/h32": "the forms of search and of filters answer as they are typed in",
}


def html_validate(files: list[Path], work: Path) -> list[str]:
    """Return the faults that html-validate reports, one a line."""
    if not HTML_VALIDATE.is_file():
        pytest.fail("html-validate is not installed: run `make test`, or `npm ci` in tests/browser", pytrace=False)
    settings = work / "rules.json"
    rules = {
        "extends": ["html-validate:recommended", "html-validate:document"],
        "rules": dict.fromkeys(LEFT_OUT, "off"),
    }
    settings.write_text(json.dumps({"root": True, **rules}), encoding="utf-8")
    command = ["node", str(HTML_VALIDATE), "--config", str(settings), "--formatter", "json", *map(str, files)]
    report = work / "faults.json"
    with report.open("w") as out:  # into a pipe it ends before it has written all
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stderr
    return [
        f"{fault['ruleId']}: {fault['message']} (at {fault['selector']} of {Path(found['filePath']).parent})"
        for found in json.loads(report.read_text(encoding="utf-8"))
        for fault in found["messages"]
    ]


def vnu(files: list[Path]) -> list[str]:
    """Return the errors of the W3C's validator, one a line."""
    command = ["java", "-Xss4m", "-jar", str(VNU), "--errors-only", "--format", "json", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return [
        f"{fault['message']} (at {fault.get('extract', '').strip()!r} of {fault['url']})"
        for fault in json.loads(done.stderr)["messages"]
        if fault["type"] != "info"
    ]


def _files(sites: Sites, name: str) -> list[Path]:
    folder = sites[name].folder
    pages = (folder / address for address in sitekinds.chosen(folder, most=10, leading_on=True))
    return [page / "index.html" if page.is_dir() else page for page in pages]


def _none(faults: list[str]) -> None:
    if faults:
        alike = {re.sub(r" \(at .*", "", fault, flags=re.DOTALL): fault for fault in reversed(faults)}
        pytest.fail("\n".join([f"{len(faults)} faults, of each kind one:", *alike.values()]), pytrace=False)


@pytest.mark.parametrize("name", SITES)
def test_pages_are_valid(sites: Sites, tmp_path: Path, name: str) -> None:
    """Of every kind, whatever the records hold."""
    files = _files(sites, name)
    assert len(files) > 10
    _none(html_validate(files, tmp_path))


@pytest.mark.skipif(shutil.which("java") is None, reason="the W3C's validator runs on Java")
def test_pages_are_valid_to_the_validator_of_the_w3c(sites: Sites) -> None:
    _none(vnu([file for name in SITES for file in _files(sites, name)]))


def test_the_validators_notice(tmp_path: Path) -> None:
    """The control: a page that isn't valid is told so."""
    page = tmp_path / "x.html"
    page.write_text(
        "<!doctype html>\n<html lang='en'><title>x</title><p><div>x</div></p><i id=a></i><i id=a></i>",
        encoding="utf-8",
    )
    words = "\n".join(html_validate([page], tmp_path))
    assert "close-order" in words or "no-dup-id" in words
    if shutil.which("java") is not None:
        assert "Duplicate ID" in "\n".join(vnu([page]))
