"""Tests that may be skipped, each with the reason. Any other skip fails the run, on a machine as in CI."""

from __future__ import annotations

from typing import Final

ALLOWED: Final = {
    "tests/appview/test_appview_indexer.py::test_what_cant_be_written_is_told_and_done_again": (
        "RLIMIT_FSIZE limits the size of a file on Linux only"
    ),
    "tests/appview/test_appview_service.py::test_connections_are_dealt_out_to_all_processes": (
        "SO_REUSEPORT balances connections on Linux only"
    ),
    "tests/atproto/test_network_fixture.py::test_the_network_listens_on_one_address_only": (
        "127.0.0.2 is an address of the machine on Linux only"
    ),
    "tests/atproto/test_network_fixture.py::test_the_network_ends_with_the_process_that_started_it": (
        "Windows has no SIGKILL"
    ),
    "tests/codegen/test_codegen_rust.py": "rustc and rustfmt are optional tools",
    "tests/project/test_examples.py::test_the_code_of_each_lens_is_in_the_commit_that_its_manifest_names": (
        "an sdist or a shallow clone lacks the pinned commits"
    ),
    "tests/shards/test_digests.py::test_names_that_are_no_text_are_remembered_too": (
        "file names that are not UTF-8 exist on Linux only"
    ),
    "tests/site/test_html_validity.py::test_pages_are_valid_to_the_validator_of_the_w3c": "Java is an optional tool",
    "tests/site/test_parallel.py": "a build forks only on several processors",
    "tests/site/test_site.py::test_processes_are_forked_anew_after_a_while": "a build forks only on several processors",
}
"""Keyed by test function without parameters, or by file."""


def is_allowed(nodeid: str) -> bool:
    """Return whether a test or a whole file may be skipped."""
    return nodeid.partition("::")[0] in ALLOWED or nodeid.partition("[")[0] in ALLOWED
