"""The graph: versions in semver's order, references both ways, kinship."""

from __future__ import annotations

from itertools import pairwise

from catalog.syntax.semver import semver_key


def test_versions_sort_as_semver_says() -> None:
    """The order of https://semver.org/#spec-item-11, with what isn't a version below all that are."""
    ordered = ["nonsense", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "2.0.0"]
    assert all(semver_key(low) < semver_key(high) for low, high in pairwise(ordered))
