"""The AppView's own description: valid, of what there is, and kept to whatever is asked by it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from catalog.appview.openapi import openapi
from catalog.appview.xrpc import METHODS, PREFIX
from catalog.atproto.lexicon import lexicon_documents
from catalog.records import DATASET
from tests.appviewservices import Served, asking, serving
from tests.appviewstores import World, dataset, put, uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.appviewservices import Asked

TRIES = 20
"""Requests for each query and way of making them up."""
CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
)  # fmt: skip
INSIDES = ("Traceback", ".py", "sqlite", "tantivy", "RuntimeError")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    opened = World(tmp_path_factory.mktemp("openapi"))
    put(opened, *[dataset(f"tide {number}", number, tags=["ocean"]) for number in range(30)])
    opened.catch_up()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def asked(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with asking(world.path, tmp_path_factory.mktemp("counts"), requests=0) as found:
        yield found


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    config = world.path.parent / "mkdocs.yml"
    block = f"{{store: {world.path}, appview: {{rate_limit: false}}}}"
    config.write_text(f"plugins: [catalog: {block}]\n", encoding="utf-8")
    with serving(config, "--no-follow") as running:
        running.until_ready()
        yield running


def test_the_description_is_valid_openapi() -> None:
    validate(openapi("1.0", "https://appview.example.org"))


def test_every_query_is_described_with_every_parameter() -> None:
    paths = openapi("1.0", None)["paths"]
    assert list(paths) == [f"/xrpc/{PREFIX}{name}" for name in METHODS]
    for path, item in paths.items():
        main = lexicon_documents()[path.removeprefix("/xrpc/")]["defs"]["main"]
        assert {one["name"] for one in item["get"]["parameters"]} == set(main["parameters"]["properties"])
        assert item["get"]["description"] == main["description"]


def test_the_description_is_served(asked: Asked) -> None:
    found = asked.send("/openapi.json")
    assert found.json()["openapi"] == "3.1.0"
    assert found.json()["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("name", ["searchDatasets", "search", "listEntries", "getEntry", "getStatistics"])
def test_answers_are_as_described(asked: Asked, name: str) -> None:
    """By JSON Schema, as others read the description; the lexicon says the same."""
    parameters = {"searchDatasets": {"q": "tide"}, "getEntry": {"uri": str(uri(f"{DATASET}/k00000"))}}.get(name, {})
    answer = asked.query(name, **parameters)
    document = openapi("1.0", None)
    schema = document["paths"][f"/xrpc/{PREFIX}{name}"]["get"]["responses"]["200"]["content"]["application/json"]
    jsonschema.Draft202012Validator({**schema["schema"], "components": document["components"]}).validate(answer)


def _has_parameters(name: str) -> bool:
    """Return whether the query has parameters that can be invalid."""
    return bool(openapi("1.0", None)["paths"][f"/xrpc/{PREFIX}{name}"]["get"].get("parameters"))


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "positive") for name in METHODS), *((name, "negative") for name in METHODS if _has_parameters(name))],
)
def test_whatever_is_asked_by_the_description_is_answered_by_it(served: Served, name: str, mode: str) -> None:
    """Made up from the description, within it and beside it: no 5xx, nothing of our insides, nothing undescribed."""
    operation = _operation(served, httpx.get(f"{served.url}/openapi.json", timeout=60).json(), name)
    way = schemathesis.GenerationMode(mode)
    statuses: Counter[int] = Counter()

    @given(case=operation.as_strategy(generation_mode=way))
    @settings(
        max_examples=TRIES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        response = case.call(timeout=60)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=list(CHECKS))
        assert response.status_code in (200, 400, 404, 414)
        assert not any(word in response.text for word in INSIDES if word not in str(case.query))
        if response.status_code == 200:
            body = response.json()
            longest = max((len(part) for part in body.values() if isinstance(part, list)), default=0)
            assert longest <= 100

    ask()
    # What is within the description may still be longer than a lexicon lets it be, which counts bytes.
    answered = statuses[200] + statuses[404] if mode == "positive" else statuses[400]
    assert answered > 0, statuses


def test_an_answer_that_isnt_as_described_would_be_noticed(served: Served) -> None:
    """The control of the test before: with another description it fails."""
    document = openapi("1.0", None)
    item = document["paths"][f"/xrpc/{PREFIX}getStatistics"]["get"]
    item["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["datasets"] = {"type": "string"}
    case = _operation(served, document, "getStatistics").Case()
    with pytest.raises(schemathesis.errors.FailureGroup):
        case.validate_response(case.call(), checks=list(CHECKS))


def _operation(served: Served, document: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - schemathesis's
    """A query, as schemathesis knows it from a description."""
    path = f"/xrpc/{PREFIX}{name}"
    schema = schemathesis.openapi.from_dict({**document, "paths": {path: document["paths"][path]}})
    schema.config.base_url = served.url
    return schema[path]["GET"]


HOSTILE = [
    "*", "**", "a* b* c* d* e* f* g* h* i* j* k* l* m*", "?" * 500, "(" * 500, '"' * 499, "AND OR NOT", "name:*",
    "[* TO *]", "-", "~", "a~9", "^9", "\\", "\0", "\ufeff", "\u202e", "👩‍👩‍👧‍👦" * 10, "ﷺ" * 100, "é́́́́́́́́", "' OR 1=1 --",
    "{{7*7}}", "${7*7}",
    "../../etc/passwd", "%00", "%2e%2e", "\r\nX: y", "x" * 500, "9" * 500, "1e400", "NaN", "-0", "٣", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_hostile_texts_in_every_parameter_are_answered_or_refused(asked: Asked, name: str) -> None:
    document = openapi("1.0", None)["paths"][f"/xrpc/{PREFIX}{name}"]["get"]
    sound: dict[str, Any] = {
        "handle": "alice.example.org", "schemaId": "Digit", "name": "tide", "uri": str(uri(f"{DATASET}/k00000")),
        "uris": str(uri(f"{DATASET}/k00000")), "q": "tide", "lens": str(uri("a.b.c/d")), "source": str(uri("a.b.c/d")),
        "target": str(uri("a.b.c/e")),
    }  # fmt: skip
    needed = {one["name"]: sound[one["name"]] for one in document["parameters"] if one["required"]}
    for parameter in document["parameters"]:
        for text in HOSTILE:
            query = httpx.QueryParams({**needed, parameter["name"]: text.encode("utf-8", "replace").decode()})
            found = asked.send(f"/xrpc/{PREFIX}{name}?{query}")
            assert found.status_code in (200, 400, 404), (parameter["name"], text, found.text)
            if found.status_code != 200:
                assert found.json().keys() == {"error", "message"}
                assert len(found.text) < 2000


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([f"/xrpc/{PREFIX}{name}" for name in METHODS] + ["/", "/xrpc/", "/.well-known/did.json"]),
    query=st.binary(max_size=200),
    head=st.dictionaries(
        st.sampled_from(["if-none-match", "accept-encoding", "x-forwarded-for", "origin", "range", "host"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=50).map(str.strip),
    ),
)
def test_no_bytes_in_an_address_or_a_head_break_anything(
    asked: Asked, path: str, query: bytes, head: dict[str, str]
) -> None:
    """Also such as no client library would send: the application is handed them as they are."""
    sent: list[dict[str, Any]] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query,
            "headers": [(name.encode(), value.encode()) for name, value in head.items()], "client": ("192.0.2.1", 1),
            "http_version": "1.1", "scheme": "http", "root_path": "",
        }  # fmt: skip
        await asked.app(scope, receive, send)

    asked.run(ask())
    assert sent[0]["status"] in (200, 304, 400, 404, 501)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    if sent[0]["status"] >= 400:
        assert json.loads(body).keys() == {"error", "message"}
