"""Queries in lexicons: parameters as they come in an address, defaults, limits, and answers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto.lexicon import Lexicons, lexicon_documents
from catalog.config import resources
from catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable

NSID = "org.example.ask"
DOCUMENT: dict[str, Any] = {
    "lexicon": 1,
    "id": NSID,
    "defs": {
        "main": {
            "type": "query",
            "description": "A question.",
            "parameters": {
                "type": "params",
                "required": ["q"],
                "properties": {
                    "q": {"type": "string", "maxLength": 5},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
                    "deep": {"type": "boolean"},
                    "tags": {"type": "array", "maxLength": 2, "items": {"type": "string", "minLength": 1}},
                    "sizes": {"type": "array", "items": {"type": "integer"}},
                },
            },
            "output": {
                "encoding": "application/json",
                "schema": {
                    "type": "object",
                    "required": ["hits"],
                    "properties": {"hits": {"type": "ref", "ref": "#n"}},
                },
            },
            "errors": [{"name": "NotFound", "description": "There is none."}],
        },
        "n": {"type": "array", "items": {"type": "integer"}},
        "page": {"type": "object", "required": ["hits"], "properties": {"hits": {"type": "ref", "ref": "#n"}}},
    },
}
QUERY = Lexicons.of([("ask", DOCUMENT)]).queries[NSID]


def read(text: str) -> tuple[dict[str, Any], list[str]]:
    pairs = [tuple(part.split("=", 1)) for part in text.split("&") if part]
    values, faults = QUERY.read(pairs)  # type: ignore[arg-type]
    return values, [fault.where for fault in faults]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("q=tide", {"q": "tide", "limit": 50}),
        ("q=", {"q": "", "limit": 50}),
        ("q=a&limit=1&deep=false", {"q": "a", "limit": 1, "deep": False}),
        ("q=a&tags=x&tags=y", {"q": "a", "limit": 50, "tags": ["x", "y"]}),
        ("q=a&sizes=-3&sizes=7", {"q": "a", "limit": 50, "sizes": [-3, 7]}),
        ("q=a&unknown=1&unknown=2", {"q": "a", "limit": 50}),
    ],
)
def test_parameters_are_read_as_what_they_are(text: str, values: dict[str, Any]) -> None:
    assert read(text) == (values, [])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ["q"]),
        ("q=sixsix", ["q"]),
        ("q=a&q=b", ["q"]),
        ("q=a&limit=0", ["limit"]),
        ("q=a&limit=101", ["limit"]),
        ("q=a&limit=", ["limit"]),
        ("q=a&limit=1e1", ["limit"]),
        ("q=a&limit=+1", ["limit"]),
        ("q=a&limit=\u0665", ["limit"]),
        ("q=a&limit=" + "9" * 5000, ["limit"]),
        ("q=a&deep=1", ["deep"]),
        ("q=a&tags=x&tags=", ["tags[1]"]),
        ("q=a&tags=x&tags=y&tags=z", ["tags"]),
        ("q=a&sizes=1&sizes=x", ["sizes[1]"]),
        ("limit=0&deep=x", ["q", "limit", "deep"]),
    ],
)
def test_what_is_wrong_with_parameters_is_told_by_name(text: str, where: list[str]) -> None:
    assert read(text)[1] == where


@given(st.lists(st.tuples(st.sampled_from(["q", "limit", "deep", "tags", "sizes", "x"]), st.text()), max_size=30))
def test_no_parameters_raise_and_what_passes_is_within_its_limits(given_: list[tuple[str, str]]) -> None:
    values, faults = QUERY.read(given_)
    if not faults:
        assert len(values["q"].encode()) <= 5
        assert 1 <= values["limit"] <= 100
        assert len(values.get("tags", [])) <= 2


def test_answers_are_checked() -> None:
    lexicons = Lexicons.of([("ask", DOCUMENT)])
    assert lexicons.validate_answer(NSID, {"hits": [1]}) == ()
    assert [fault.where for fault in lexicons.validate_answer(NSID, {"hits": [1, "2"]})] == ["hits[1]"]
    assert [fault.where for fault in lexicons.validate_answer(NSID, {})] == ["hits"]
    assert lexicons.validate_answer("org.example.other", {}) != ()
    assert lexicons.validate(NSID, {"hits": [1]}) != (), "a query is no record type"


def _main(document: dict[str, Any]) -> dict[str, Any]:
    main: dict[str, Any] = document["defs"]["main"]
    return main


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "parameters.type": lambda d: _main(d)["parameters"].update(type="object"),
    "parameters.required": lambda d: _main(d)["parameters"].update(required=["nothing"]),
    "parameters.properties.q": lambda d: _main(d)["parameters"]["properties"].update(q={"type": "unknown"}),
    "parameters.properties.limit.default": lambda d: _main(d)["parameters"]["properties"]["limit"].update(default=0),
    "parameters.properties.q.default": lambda d: _main(d)["parameters"]["properties"]["q"].update(default="a"),
    "output": lambda d: _main(d).pop("output"),
    "output.encoding": lambda d: _main(d)["output"].update(encoding="text/plain"),
    "output.schema": lambda d: _main(d)["output"].update(schema={"type": "nothing"}),
    "errors[0]": lambda d: _main(d).update(errors=["NotFound"]),
}


@pytest.mark.parametrize("where", BROKEN)
def test_a_broken_query_is_refused_with_its_place(where: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    BROKEN[where](document)
    with pytest.raises(CatalogError) as caught:
        Lexicons.of([("ask", document)])
    assert caught.value.where == f"ask: defs.main.{where}"


def test_a_ref_of_an_answer_must_lead_somewhere() -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["defs"]["n"]
    with pytest.raises(CatalogError, match="no definition"):
        Lexicons.of([("ask", document)])


# --- our own files ----------------------------------------------------------------------------------------------------

CALLED = {
    "resolveSchema": {"handle": True, "schemaId": True, "version": False},
    "resolveLabel": {"handle": True, "name": True, "version": False},
    "getEntry": {"uri": True},
    "getSchema": {"uri": True},
    "getEntries": {"uris": True},
    "listEntries": {"repo": False, "limit": False, "cursor": False},
    "listSchemas": {"repo": False, "limit": False, "cursor": False},
    "listLenses": {
        "repo": False, "limit": False, "cursor": False, "sourceSchema": False, "targetSchema": False,
    },
    "searchDatasets": {
        "q": True, "tags": False, "schemaRef": False, "repo": False, "limit": False, "cursor": False,
    },
    "searchLenses": {"sourceSchema": False, "targetSchema": False, "limit": False, "cursor": False},
}  # fmt: skip
"""The queries of existing clients, and their required parameters."""
DEFAULTS = {
    "listEntries": 50, "listSchemas": 50, "listLenses": 50, "searchDatasets": 25, "searchLenses": 25,
}  # fmt: skip


@pytest.mark.parametrize("name", CALLED)
def test_what_existing_clients_call_is_there_with_their_parameters(name: str) -> None:
    query = Lexicons.load().queries[f"science.alt.dataset.{name}"]
    assert {name: parameter.required for name, parameter in query.parameters.items()} == CALLED[name]
    if name in DEFAULTS:
        assert query.parameters["limit"].default == DEFAULTS[name]


def test_every_parameter_has_a_limit() -> None:
    """Numbers have both ends, texts and lists a longest length, or are of the few words there are."""
    for nsid, query in Lexicons.load().queries.items():
        properties = lexicon_documents()[nsid]["defs"]["main"]["parameters"]["properties"]
        assert list(properties) == list(query.parameters)
        for parameter in properties.values():
            assert "description" in parameter
            kinds = [parameter, parameter.get("items", {"type": "boolean"})]
            for kind in kinds:
                match kind["type"]:
                    case "integer":
                        assert {"minimum", "maximum"} <= kind.keys()
                    case "string":
                        assert kind.keys() & {"maxLength", "enum"}
                    case "array":
                        assert "maxLength" in kind
                    case other:
                        assert other == "boolean"


def test_the_documents_are_those_of_the_files() -> None:
    assert set(lexicon_documents()) == {path.stem for path in resources.lexicons().glob("*.json")}
