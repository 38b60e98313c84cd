"""Generate a synthetic catalog as exported repositories: signed, valid, and deterministic for a number and seed.

    python benchmarks/site_catalog.py 10000 exports/

::

    exports/lab-000.car, exports/lab-000.did.json     an account; the first publishes most
    exports/…

For N datasets there are about N/20 schemas (5,000 at most; two to four versions of some), N/50 lenses (2,000 at most)
with verifications, N/10 labels, and N/200 publishers (500 at most). Tags, publishers and schemas follow a Zipf
distribution. Half of the shards have real sizes; every number, word and key comes from the seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from base64 import b32encode
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import msgpack

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.site_words import Words, coined, words, zipf
from catalog.atproto import datamodel
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION
from catalog.syntax import Cid, Did, Handle, Tid
from tests.repos import SigningKey, repo_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.atproto.datamodel import Json

__all__ = ["Catalog", "make_catalog"]

BEGUN: Final = datetime(2022, 1, 1, tzinfo=UTC)
SPAN: Final = 4 * 365 * 86_400
"""Seconds over which the records were made."""
RAW: Final = 0x55
"""The codec of a blob's CID."""
REV: Final = "3mffffffffff2"
"""In 2026, after all that the repositories hold."""
LICENCES: Final = (
    "CC-BY-4.0", "CC0-1.0", "MIT", "Apache-2.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "ODbL-1.0", "BSD-3-Clause", "PDDL-1.0",
    "CC-BY-NC-SA-4.0", "ODC-By-1.0", "CDLA-Permissive-2.0", "GPL-3.0-only", "custom: ask the authors",
)  # fmt: skip
HOMES: Final = ("lab", "data", "open", "science", "archive", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A publisher."""

    number: int
    did: Did
    handle: Handle

    @property
    def file(self) -> str:
        """The name of its export."""
        return f"lab-{self.number:03d}.car"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The generated records: the number of each collection, and their accounts."""

    counts: dict[str, int]
    accounts: tuple[Account, ...]

    @property
    def records(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The shared facts of all accounts: their identities, and the URIs of schemas."""

    seed: int
    accounts: tuple[Account, ...]
    shares: tuple[int, ...]
    """Return the number of datasets that each publishes."""
    schemas: tuple[tuple[int, str, dict[str, Json]], ...]
    """Account, record key and record."""
    lenses: tuple[tuple[int, str, dict[str, Json]], ...]
    words: Words

    @property
    def schema_uris(self) -> list[str]:
        return [f"at://{self.accounts[owner].did}/{SCHEMA}/{rkey}" for owner, rkey, _ in self.schemas]


def make_catalog(folder: Path, datasets: int, *, seed: int = 1) -> Catalog:
    """Write the exports of a catalog of so many datasets into ``folder``, on all cores."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = _plan(datasets, seed)
    counts: defaultdict[str, int] = defaultdict(int)
    hands = [plan.accounts[first::16] for first in range(16)]  # the plan goes over a pipe only so often
    with ProcessPoolExecutor() as pool:
        for found in pool.map(partial(_exports, folder, plan), hands):
            for collection, count in found.items():
                counts[collection] += count
    return Catalog(counts=dict(counts), accounts=plan.accounts)


def _plan(datasets: int, seed: int) -> _Plan:
    chance = Random(f"plan {seed}")  # noqa: S311 - the same every time
    drawn = words(datasets, chance)
    accounts = tuple(_account(number, seed) for number in range(max(2, min(500, datasets // 200))))
    owners = zipf(range(len(accounts)), 0.9)
    shares = [0] * len(accounts)
    for _ in range(datasets):
        shares[owners.draw(chance)] += 1
    schemas: list[tuple[int, str, dict[str, Json]]] = []
    wanted = max(3, min(5000, datasets // 20))
    while len(schemas) < wanted:
        schemas += _family(owners.draw(chance), drawn, chance)[: wanted - len(schemas)]
    plan = _Plan(seed=seed, accounts=accounts, shares=tuple(shares), schemas=tuple(schemas), lenses=(), words=drawn)
    uris = plan.schema_uris
    often = zipf(uris, 0.7)
    lenses = [
        (
            owners.draw(chance),
            _key(chance, number),
            _lens(number, often.draw(chance), chance.choice(uris), drawn, chance),
        )
        for number in range(max(1, min(2000, datasets // 50)))
    ]
    return replace(plan, lenses=tuple(lenses))


def _account(number: int, seed: int) -> Account:
    chance = Random(f"account {seed} {number}")  # noqa: S311 - the same every time
    name = b32encode(hashlib.sha256(f"{seed} {number}".encode()).digest()).decode()[:24].lower()
    handle = f"{coined(chance, 2).lower()}-{number}.{chance.choice(HOMES)}.example"
    return Account(number=number, did=Did.parse(f"did:plc:{name}"), handle=Handle.parse(handle))


def _exports(folder: Path, plan: _Plan, accounts: Sequence[Account]) -> dict[str, int]:
    """Write these accounts' repositories; how many records of each collection there are."""
    counts: defaultdict[str, int] = defaultdict(int)
    for account in accounts:
        for collection, count in _export(folder, plan, account).items():
            counts[collection] += count
    return dict(counts)


def _export(folder: Path, plan: _Plan, account: Account) -> dict[str, int]:
    """Write one account's repository, and its DID document beside it; how many records of each collection it has."""
    chance = Random(f"export {plan.seed} {account.number}")  # noqa: S311 - the same every time
    encoded = {path: datamodel.encode(value) for path, value in _records(plan, account, chance).items()}
    key = SigningKey(secret=hashlib.sha256(f"key {plan.seed} {account.number}".encode()).digest())
    (folder / account.file).write_bytes(repo_of(encoded, did=account.did, key=key, rev=REV).car())
    document = {
        "id": account.did,
        "alsoKnownAs": [f"at://{account.handle}"],
        "verificationMethod": [
            {"id": "#atproto", "type": "Multikey", "controller": account.did, "publicKeyMultibase": key.multibase}
        ],
        "service": [
            {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.example"}
        ],
    }
    (folder / account.file).with_suffix(".did.json").write_text(json.dumps(document), encoding="utf-8")
    counts: defaultdict[str, int] = defaultdict(int)
    for path in encoded:
        counts[path.partition("/")[0]] += 1
    return dict(counts)


def _records(plan: _Plan, account: Account, chance: Random) -> dict[str, dict[str, Json]]:
    """All of an account's records by path."""
    found: dict[str, dict[str, Json]] = {}
    for owner, rkey, value in plan.schemas:
        if owner == account.number:
            found[f"{SCHEMA}/{rkey}"] = value
    for owner, rkey, value in plan.lenses:
        if owner == account.number:
            found[f"{LENS}/{rkey}"] = value
            if chance.random() < 0.5:
                uri = f"at://{account.did}/{LENS}/{rkey}"
                found[f"{VERIFICATION}/{_key(chance, len(found))}"] = _verification(uri, value, chance)
    schemas = zipf(_own_order(plan, account, chance), 0.9)
    for number in range(plan.shares[account.number]):
        rkey = _key(chance, number)
        value = _dataset(schemas.draw(chance), plan.words, chance)
        found[f"{DATASET}/{rkey}"] = value
        if chance.random() < 0.1:
            uri = f"at://{account.did}/{DATASET}/{rkey}"
            found[f"{LABEL}/{_key(chance, number)}"] = _label(uri, str(value["name"]), chance)
    return found


def _own_order(plan: _Plan, account: Account, chance: Random) -> list[str]:
    """The schemas, its own and a few that everybody uses first."""
    uris = plan.schema_uris
    own = [uri for uri, (owner, _, _) in zip(uris, plan.schemas, strict=True) if owner == account.number]
    return [*uris[:1], *own[:20], *chance.sample(uris, min(len(uris), 40))]


def _key(chance: Random, number: int) -> Tid:
    """A record key; ``number`` keeps those of one account apart."""
    seconds = int(BEGUN.timestamp()) + chance.randrange(SPAN)
    return Tid.at(seconds * 1_000_000 + number % 1_000_000, chance.randrange(1024))


def _moment(chance: Random) -> str:
    moment = BEGUN + timedelta(seconds=chance.randrange(SPAN), milliseconds=chance.randrange(1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _family(owner: int, drawn: Words, chance: Random) -> list[tuple[int, str, dict[str, Json]]]:
    """The versions of one sample type, each with something more than the one before."""
    name = "".join(part.capitalize() for part in (chance.choice(drawn.names), coined(chance, 2), "sample"))
    fields = [
        (drawn.vocabulary.draw(chance) if chance.random() < 0.4 else key, value)
        for key, value in (*chance.choice(drawn.fields), chance.choice(chance.choice(drawn.fields)))
    ]
    versions = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"][: chance.choice((1, 1, 1, 2, 3, 4))]
    found = []
    for version in versions:
        properties: Json = {
            key: {**value, "description": drawn.sentence(chance)[:200]} if chance.random() < 0.4 else value
            for key, value in dict(fields).items()
        }
        names: list[Json] = [*dict(fields)]
        content: Json = {
            "type": "object", "title": name, "properties": properties, "required": names[: max(1, len(names) - 1)],
            "propertyOrder": names,
        }  # fmt: skip
        value: dict[str, Json] = {
            "$type": SCHEMA, "name": name, "version": version, "schemaType": "jsonSchema", "atdataSchemaVersion": 1,
            "schema": {
                "$type": SCHEMA + "#jsonSchemaFormat", "draft": "draft-07", "content": content,
                "arrayFormatVersions": {"ndarrayBytes": "1.0.0"},
            },
            "description": " ".join(drawn.sentence(chance) for _ in range(2)), "createdAt": _moment(chance),
            "metadata": {"license": chance.choice(LICENCES[:4]), "tags": _tags(drawn, chance)},
        }  # fmt: skip
        found.append((owner, f"{name}:{version}", value))
        fields.append(chance.choice(chance.choice(drawn.fields)))
    return found


def _lens(number: int, source: str, target: str, drawn: Words, chance: Random) -> dict[str, Json]:
    commit = f"{chance.getrandbits(160):040x}"
    code: Json = {
        "repository": f"https://code.example/{coined(chance).lower()}/lenses", "commit": commit,
        "path": f"lenses/module_{number % 50}.py:lens_{number}", "language": "python",
    }  # fmt: skip
    return {
        "$type": LENS, "name": f"{coined(chance, 2)} to {chance.choice(drawn.names)}", "sourceSchema": source,
        "targetSchema": target, "getterCode": code, "putterCode": code, "createdAt": _moment(chance),
        "description": drawn.sentence(chance),
    }  # fmt: skip


def _verification(uri: str, lens: dict[str, Json], chance: Random) -> dict[str, Json]:
    return {
        "$type": VERIFICATION, "lens": uri, "lensCommit": str(datamodel.record_cid(lens)),
        "verificationMethod": chance.choice(("automatedTest", "codeReview")), "createdAt": _moment(chance),
    }  # fmt: skip


def _label(uri: str, name: str, chance: Random) -> dict[str, Json]:
    version = f"{chance.randint(1, 4)}.{chance.randint(0, 9)}.{chance.randint(0, 3)}"
    return {"$type": LABEL, "name": name, "version": version, "datasetUri": uri, "createdAt": _moment(chance)}


def _dataset(schema: str, drawn: Words, chance: Random) -> dict[str, Json]:
    name = _name(drawn, chance)
    shards = min(40, max(1, round(chance.lognormvariate(1.2, 1.0))))
    size = chance.choice(drawn.sizes) * shards if chance.random() < 0.5 else round(chance.lognormvariate(21, 3))
    value: dict[str, Json] = {
        "$type": DATASET, "name": name, "schemaRef": schema, "storage": _storage(name, shards, size, chance),
        "description": _description(drawn, chance), "createdAt": _moment(chance), "tags": _tags(drawn, chance),
    }  # fmt: skip
    if chance.random() < 0.9:
        value["license"] = LICENCES[min(len(LICENCES) - 1, int(chance.expovariate(0.5)))]
    if chance.random() < 0.9:
        value["size"] = {"samples": round(math.exp(chance.uniform(4, 17))), "bytes": size, "shards": shards}
    metadata = _metadata(name, drawn, chance)
    if metadata:
        value["metadata"] = datamodel.bytes_json(msgpack.packb(metadata))
    return value


def _name(drawn: Words, chance: Random) -> str:
    parts = chance.sample(drawn.names, chance.randint(1, 2))
    if chance.random() < 0.7:
        parts.insert(chance.randrange(2), coined(chance, chance.randint(2, 3)))
    if chance.random() < 0.4:
        parts.append(
            chance.choice((str(chance.randint(1998, 2026)), f"v{chance.randint(2, 5)}", f"{chance.randint(1, 900)}k"))
        )
    return ("_" if chance.random() < 0.4 else " ").join(parts)


def _description(drawn: Words, chance: Random) -> str:
    """One to four paragraphs; among them a list, emphasis, code and a link, as people write."""
    wanted = min(3500, max(60, int(chance.lognormvariate(5.85, 0.7))))
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < wanted:
        some = [drawn.sentence(chance) for _ in range(chance.randint(1, 4))]
        if len(paragraphs) > 0 and chance.random() < 0.15:
            paragraphs.append("\n".join(f"- {sentence}" for sentence in some))
        else:
            paragraphs.append(" ".join(some))
    text = "\n\n".join(paragraphs)[: wanted + 200].rpartition(" ")[0]
    if chance.random() < 0.3:
        program, page = coined(chance, 2).lower(), chance.choice(drawn.homepages)
        text += f"\n\nMade with **{coined(chance)}**, `{program}.py`; see <{page}>."
    return text[:4900]


def _tags(drawn: Words, chance: Random) -> list[Json]:
    return [*dict.fromkeys(drawn.tags.draw(chance) for _ in range(chance.randint(0, 6)))]


def _metadata(name: str, drawn: Words, chance: Random) -> dict[str, object]:
    found: dict[str, object] = {}
    if chance.random() < 0.5:
        found["citation"] = chance.choice(drawn.citations)
    if chance.random() < 0.5:
        found["homepage"] = f"{chance.choice(drawn.homepages).rstrip('/')}/{name.split(maxsplit=1)[0].lower()}"
    if chance.random() < 0.6:
        found["creators"] = [f"{coined(chance, 2)} {coined(chance)}" for _ in range(chance.randint(1, 6))]
    if chance.random() < 0.3:
        found["split"] = {"train": chance.randint(100, 10**6), "test": chance.randint(10, 10**5), "share": 0.8}
    return found


def _storage(name: str, shards: int, size: int, chance: Random) -> dict[str, Json]:
    slug = "-".join(name.lower().replace("_", " ").split())
    names = [f"{slug}-{number:06d}.tar" for number in range(shards)]
    kind = chance.random()
    if kind < 0.05:
        each = min(52_428_800, max(1, size // shards))
        links = [str(Cid.of_block(chance.randbytes(32), RAW)) for _ in names]
        blobs: list[Json] = [
            {
                "blob": {"$type": "blob", "ref": {"$link": link}, "mimeType": "application/x-tar", "size": each},
                "checksum": _checksum(chance),
            }
            for link in links
        ]
        return {"$type": "science.alt.dataset.storageBlobs", "blobs": blobs}
    if kind < 0.2:
        keys: list[Json] = [{"key": f"{slug}/{file}", "checksum": _checksum(chance)} for file in names]
        return {
            "$type": "science.alt.dataset.storageS3",
            "bucket": f"{slug[:30]}-data",
            "region": "eu-west-1",
            "shards": keys,
        }
    root = f"https://data.example/{coined(chance).lower()}/{slug}"
    urls: list[Json] = [{"url": f"{root}/{file}", "checksum": _checksum(chance)} for file in names]
    return {"$type": "science.alt.dataset.storageHttp", "shards": urls}


def _checksum(chance: Random) -> dict[str, Json]:
    return {"algorithm": "sha256", "digest": chance.randbytes(32).hex()}


def main() -> int:
    """Make one, and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("datasets", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    made = make_catalog(arguments.folder, arguments.datasets, seed=arguments.seed)
    counts = ", ".join(f"{count:,} {name.rpartition('.')[2]}" for name, count in sorted(made.counts.items()))
    print(f"{made.records:,} records of {len(made.accounts)} accounts: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
