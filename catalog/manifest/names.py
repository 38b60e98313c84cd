"""The names of a set of manifests: what it declares, across files, and what it refers to."""

from __future__ import annotations

from catalog.errors import InvalidSyntax
from catalog.manifest.drafts import SchemaKey
from catalog.manifest.faults import Report, near, place, shown
from catalog.records import schema_rkey

__all__ = ["Names"]


class Names:
    """Declarations as they are read; references are checked when all files are in."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], str] = {}
        self._schemas: set[str] = set()
        self._lenses: set[str] = set()
        self._half_known: set[tuple[str | None, str | None]] = set()
        self._nameless_lens = False
        self._schemas_wanted: list[tuple[SchemaKey, int, Report]] = []
        self._lenses_wanted: list[tuple[str, int, Report]] = []

    def declare_schema(self, name: str | None, version: str | None, line: int, report: Report) -> None:
        """A schema version; two that would share a record key are duplicates.

        Of one whose name or version is a mistake, references to the other half are not called mistakes, too.
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
        self._declare("schema", str(rkey), str(key), line, report)

    def declare_dataset(self, name: str, line: int, report: Report) -> None:
        """A dataset."""
        self._declare("dataset", name, name, line, report)

    def declare_lens(self, name: str | None, line: int, report: Report) -> None:
        """A lens; of one whose name is a mistake, references are not called mistakes, too."""
        if name is None:
            self._nameless_lens = True
            return
        self._lenses.add(name)
        self._declare("lens", name, name, line, report)

    def declare_verification(self, lens: str, method: str, line: int, report: Report) -> None:
        """A verification of a lens by one method."""
        self._declare("verification", f"{lens} {method}", f"{lens} by {method}", line, report)

    def _declare(self, kind: str, key: str, text: str, line: int, report: Report) -> None:
        first = self._places.setdefault((kind, key), place(report.file, line))
        if first != place(report.file, line):
            report.add(line, f"duplicate {kind} {shown(text)!r}", f"first at {first}")

    def refer_schema(self, key: SchemaKey, line: int, report: Report) -> None:
        """Note that a schema of the set is meant."""
        self._schemas_wanted.append((key, line, report))

    def refer_lens(self, name: str, line: int, report: Report) -> None:
        """Note that a lens of the set is meant."""
        self._lenses_wanted.append((name, line, report))

    def check(self) -> None:
        """Report every reference to what no file of the set declares."""
        for key, line, report in self._schemas_wanted:
            halves = {(key.name, None), (None, key.version), (None, None)}
            if not halves & self._half_known:
                self._check("schema", str(key), self._schemas, line, report)
        for name, line, report in self._lenses_wanted:
            if not self._nameless_lens:
                self._check("lens", name, self._lenses, line, report)

    @staticmethod
    def _check(kind: str, text: str, known: set[str], line: int, report: Report) -> None:
        if text not in known:
            hint = near(text, sorted(known)) or f"declare it in these manifests, or give the {kind}'s at:// URI"
            report.add(line, f"there is no {kind} {shown(text)!r}", hint)
