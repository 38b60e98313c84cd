"""From a class to a record, over a real PDS, back to a class, and the samples of the one read by the other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog.datasets.dataset import Dataset
from catalog.errors import CatalogError, InvalidRecord
from catalog.records import DATASET, LABEL, LENS, SCHEMA, Schema, read_record, write_record
from catalog.samples.packable import PackableSample, class_from, sample_type
from catalog.samples.packing import pack, unpack
from catalog.schema import Field, SampleType, Scalar
from catalog.syntax import Datetime
from tests.sample_classes import Everything, everything
from tests.strategies import typed_samples

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, Network

NOW = Datetime.parse("2026-01-02T03:04:05.678Z")


@pytest.fixture(scope="module")
def account(network: Network) -> Account:
    """One account for all the schemas of this file."""
    return network.account("roundtrip")


def made(cls: type[PackableSample], wanted: SampleType, drawn: dict[str, Any]) -> PackableSample:
    """A sample of a class whose fields are those of the type, in their order."""
    attributes = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type] # it is one at run time
    return cls(**dict(zip(attributes, (drawn[field.name] for field in wanted.fields), strict=True)))


def test_the_order_of_fields_survives_a_pds(network: Network, account: Account) -> None:
    """The network sorts the keys of maps; what is written down in a list isn't sorted."""
    names = ["zz", "a", "mmm", "b"]
    fields = tuple(Field(name=name, type=Scalar(kind="int")) for name in names)
    there = over(network, account, SampleType(name="Ordered", version="1.0.0", fields=fields))
    assert [field.name for field in there.fields] == names


def over(network: Network, account: Account, wanted: SampleType) -> SampleType:
    """The sample type after a way over the network: written, stored by the PDS, fetched and read."""
    written = write_record(Schema(sample_type=wanted, created_at=NOW))
    created = network.create_record(account, SCHEMA, written)
    record = read_record(SCHEMA, network.get_record(account.did, SCHEMA, created["uri"].rpartition("/")[2])["value"])
    assert isinstance(record, Schema)
    return record.sample_type


@given(typed_samples().filter(lambda both: both[0].fields))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_samples_of_any_type_are_read_by_a_class_from_the_network(
    network: Network, account: Account, both: tuple[SampleType, dict[str, Any]]
) -> None:
    """Class → record → PDS → record → class → bytes → sample: equal at the end."""
    wanted, drawn = both
    here = class_from(wanted)
    there = over(network, account, sample_type(here))
    assert there == wanted
    sample = made(here, wanted, drawn)
    again = unpack(class_from(there), pack(sample), validate=True)
    assert pack(again) == pack(sample)
    assert unpack(here, pack(again)) == sample


def test_a_class_written_by_hand_comes_back_from_the_network(network: Network, account: Account) -> None:
    """Every kind of annotation, defaults and other wire names included."""
    there = over(network, account, sample_type(Everything))
    assert there.fields == sample_type(Everything).fields
    again = unpack(class_from(there), pack(everything()), validate=True)
    assert unpack(Everything, pack(again)) == everything()


class Base(PackableSample):
    """Strategies shared by several kinds of samples."""

    source: str = "unknown"
    weight: float


class Derived(Base, version="1.1.0"):
    """One of them."""

    tags: list[str] | None = None
    score: float


def test_an_inherited_class_comes_back_from_the_network(network: Network, account: Account) -> None:
    """The fields of the base first; a default is Python's, what is written is always there."""
    there = over(network, account, sample_type(Derived))
    assert [field.name for field in there.fields] == ["source", "weight", "tags", "score"]
    again = unpack(class_from(there), pack(Derived(weight=1.0, score=2.0)))
    assert unpack(Derived, pack(again)) == Derived(source="unknown", weight=1.0, score=2.0)


def test_a_name_that_no_pds_takes_is_told_before_one_is_asked(network: Network, account: Account) -> None:
    """The reference PDS refuses one key; what it does with others that look special is the control."""
    fields = [
        (Field(name=name, type=Scalar(kind="int")),) for name in ("__proto__", "constructor", "$type", "$link", "")
    ]
    refused, *taken = (SampleType(name="x", version="1.0.0", fields=one) for one in fields)
    with pytest.raises(InvalidRecord, match="different name") as caught:
        over(network, account, refused)
    assert [fault.where for fault in caught.value.faults] == ["schema.properties.__proto__"]
    with pytest.raises(AssertionError, match="Invalid key"):
        network.create_record(account, SCHEMA, {"$type": SCHEMA, "schema": {"__proto__": 1}})
    assert [over(network, account, one) for one in taken] == taken


@given(typed_samples(), st.sampled_from(["flattened", "nested", "envelope", "both"]))
@example((SampleType(name="x", version="1.0.0", fields=(Field(name="", type=Scalar(kind="int")),)), {"": 1}), "nested")
def test_every_encoding_of_a_record_makes_the_same_class(
    both: tuple[SampleType, dict[str, Any]], encoding: str
) -> None:
    """As the three kinds of clients write it, and as we do: samples are read by the class from each."""
    wanted, drawn = both
    written = write_record(Schema(sample_type=wanted, created_at=NOW))
    written["schema"] = _encoded(written["schema"], encoding)
    record = read_record(SCHEMA, written)
    assert isinstance(record, Schema)
    assert record.sample_type.fields == wanted.fields
    sample = made(class_from(wanted), wanted, drawn)
    assert pack(unpack(class_from(record.sample_type), pack(sample), validate=True)) == pack(sample)


def _encoded(schema: Json, encoding: str) -> Json:
    assert isinstance(schema, dict)
    content = schema["content"]
    assert isinstance(content, dict)
    kind: dict[str, Json] = {"$type": schema["$type"]}
    return {
        "flattened": {**kind, **content},
        "nested": {**kind, "schemaBody": content},
        "envelope": {**kind, "draft": "draft-07", "content": content},
        "both": schema,
    }[encoding]


# --- records that refer to each other in circles -------------------------------------------------------------


def test_records_that_lead_in_circles_are_told_and_not_followed(network: Network) -> None:
    """A label of itself or of a label, a dataset whose schema is a dataset: one clear error each, nothing hangs."""
    account = network.account("circles")
    here = f"at://{account.did}"
    when = str(NOW)
    for rkey, uri in (
        ("3aaaaaaaaaaa2", f"{here}/{LABEL}/3aaaaaaaaaaa2"),
        ("3aaaaaaaaaab2", f"{here}/{LABEL}/3aaaaaaaaaaa2"),
    ):
        label = {"$type": LABEL, "name": "l", "datasetUri": uri, "createdAt": when}
        network.create_record(account, LABEL, label, rkey)
    storage = {"$type": "science.alt.dataset.storageHttp", "shards": [
        {"url": "https://data.example/a.tar", "checksum": {"algorithm": "none", "digest": ""}}
    ]}  # fmt: skip
    own = f"{here}/{DATASET}/3aaaaaaaaaaa2"
    dataset = {"$type": DATASET, "name": "d", "schemaRef": own, "storage": storage, "createdAt": when}
    network.create_record(account, DATASET, dataset, "3aaaaaaaaaaa2")
    for uri in (own, f"{here}/{LABEL}/3aaaaaaaaaaa2", f"{here}/{LABEL}/3aaaaaaaaaab2"):
        with pytest.raises(CatalogError) as caught:
            Dataset.from_atproto(uri)
        assert here in str(caught.value)


def test_a_lens_from_a_schema_to_itself_is_read() -> None:
    """Odd, and allowed."""
    schema = f"at://did:plc:{'a' * 24}/{SCHEMA}/x"
    code: dict[str, Json] = {"repository": "https://git.example/x", "commit": "a" * 40, "path": "x.py:f"}
    value: dict[str, Json] = {
        "$type": LENS, "name": "l", "sourceSchema": schema, "targetSchema": schema, "getterCode": code,
        "putterCode": code, "createdAt": str(NOW),
    }  # fmt: skip
    assert read_record(LENS, value)
