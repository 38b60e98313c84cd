"""Names of a set of manifests: declarations and references, across files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import InvalidSyntax
from catalog.manifest.diagnostics import GUESSES, Report, near, place, shown
from catalog.manifest.drafts import SchemaKey
from catalog.records import schema_rkey

if TYPE_CHECKING:
    from catalog.manifest.mapping import Table


class Names:
    """Collect declarations and references while files are read; check references after the last file."""

    def __init__(self) -> None:
        self.set_name: str | None = None
        """Name of the set, if a file states it."""
        self._set_place = ""
        self._places: dict[tuple[str, ...], str] = {}
        self._schemas: set[str] = set()
        self._datasets: set[str] = set()
        self._lenses: set[str] = set()
        self._guesses = GUESSES
        self._half_known: set[tuple[str | None, str | None]] = set()
        self._nameless: set[str] = set()
        self._schemas_wanted: list[tuple[SchemaKey, int, Report]] = []
        self._datasets_wanted: list[tuple[str, int, Report]] = []
        self._lenses_wanted: list[tuple[str, int, Report]] = []

    def declare_set(self, name: str, line: int, report: Report) -> None:
        """Declare the name of the set, which all files must agree on."""
        if self.set_name is None:
            self.set_name, self._set_place = name, place(report.file, line)
        elif name != self.set_name:
            message = f"the set is called {shown(name)!r} here, and {shown(self.set_name)!r} at {self._set_place}"
            report.add(line, message, "manifests that are given together are one set")

    def declare_schema(self, name: str | None, version: str | None, line: int, report: Report) -> None:
        """Declare a schema version; two with the same record key are duplicates.

        If its name or version is a mistake, references to the other half are not reported as well.
        """
        if name is None or version is None:
            self._half_known.add((name, version))
            return
        key = SchemaKey(name=name, version=version)
        self._schemas.add(str(key))
        try:
            rkey = schema_rkey(key.name, key.version)
        except InvalidSyntax as error:
            report.add(line, f"{shown(str(key))!r} makes no record key: {shown(error.what, 200)}", error.hint)
            return
        self._declare("schema", (str(rkey),), str(key), line, report)

    def declare_dataset(self, name: str | None, version: str | None, table: Table) -> None:
        """Declare a dataset, and its label if it has a version; without a valid name, references are not reported."""
        if name is None:
            self._nameless.add("dataset")
            return
        self._datasets.add(name)
        if self._declare("dataset", (name,), name, table.line_of("name"), table.report) and version is not None:
            self.declare_label(name, version, table.line_of("version"), table.report)

    def declare_label(self, name: str, version: str | None, line: int, report: Report) -> None:
        """Declare a label, identified by name and version."""
        text = name if version is None else f"{name}@{version}"
        self._declare("label", (name, version or ""), text, line, report)

    def declare_lens(self, name: str | None, line: int, report: Report) -> None:
        """Declare a lens; without a valid name, references are not reported."""
        if name is None:
            self._nameless.add("lens")
            return
        self._lenses.add(name)
        self._declare("lens", (name,), name, line, report)

    def declare_verification(self, lens: str, method: str, line: int, report: Report) -> None:
        """Declare a verification of a lens by one method."""
        self._declare("verification", (lens, method), f"{lens} by {method}", line, report)

    def _declare(self, kind: str, key: tuple[str, ...], text: str, line: int, report: Report) -> bool:
        first = self._places.get((kind, *key))
        if first is not None:
            report.add(line, f"duplicate {kind} {shown(text)!r}", f"first at {first}")
            return False
        self._places[kind, *key] = place(report.file, line)
        return True

    def refer_schema(self, key: SchemaKey, line: int, report: Report) -> None:
        """Add a reference to a schema of the set."""
        self._schemas_wanted.append((key, line, report))

    def refer_dataset(self, name: str, line: int, report: Report) -> None:
        """Add a reference to a dataset of the set."""
        self._datasets_wanted.append((name, line, report))

    def refer_lens(self, name: str, line: int, report: Report) -> None:
        """Add a reference to a lens of the set."""
        self._lenses_wanted.append((name, line, report))

    def check(self) -> None:
        """Report every reference to a name that no file declares."""
        for key, line, report in self._schemas_wanted:
            halves = {(key.name, None), (None, key.version), (None, None)}
            if not halves & self._half_known:
                self._check("schema", str(key), self._schemas, line, report)
        wanted = (("dataset", self._datasets_wanted, self._datasets), ("lens", self._lenses_wanted, self._lenses))
        for kind, references, known in wanted:
            for name, line, report in references if kind not in self._nameless else ():
                self._check(kind, name, known, line, report)

    def _check(self, kind: str, text: str, known: set[str], line: int, report: Report) -> None:
        if text in known or report.full:
            return
        guess = near(text, sorted(known)) if self._guesses > 0 else None
        self._guesses -= 1
        hint = guess or f"declare it in these manifests, or give the {kind}'s at:// URI"
        report.add(line, f"there is no {kind} {shown(text)!r}", hint)
