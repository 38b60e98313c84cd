"""Fuzz the repository verifier with mutated CARs: no crash, no hang, no modified record accepted.

    python benchmarks/soak_fuzz.py [SECONDS] [--seed N]        SECONDS also from SOAK_SECONDS; default 180

Valid CARs are mutated at random: bits, bytes and parts of the file; blocks under other CIDs; and tree nodes, with
all CIDs up to the commit recomputed. Some of these are signed again, as a hostile account could. They are read
completely and in slices, and trees are inverted by mutated operations. For each case:

- only ``InvalidProof`` is raised, within a bounded time;
- without a new signature, the verified records are exactly the signed ones;
- with a new signature, the result equals that of a simple slow reader, and the tree has the only valid shape.

Prints one line. Exit code 1 at the first violation, with the case and its file.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final

import cbor2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from catalog.atproto.car import Blocks
from catalog.atproto.commit import check_commit, read_commit
from catalog.atproto.keys import PublicKey
from catalog.atproto.mst import Op, invert, read
from catalog.errors import InvalidProof
from catalog.syntax import Did
from tests.repos import Repo, SigningKey, build_tree, car, cid_of, make_repo, proven, signed_commit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

DID: Final = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
SLOWEST: Final = 5.0
"""Seconds that a case may take; it has at most some hundred kilobytes."""
EDGES: Final = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"\x01",
    b"\xff" * 9,
    b"\x5b" + b"\xff" * 8,
    b"\x9f",
    b"\xa0",
    b"\xf6",
)


class Wrong(Exception):
    """A case that came out as it must not."""


class Subject:
    """A valid repository, and what is spoilt of it."""

    def __init__(self, size: int, *, p256: bool) -> None:
        self.key = SigningKey(p256=p256)
        paths = [f"{('app.example.post', 'science.alt.dataset.entry')[n % 5 == 0]}/{n:05}" for n in range(size)]
        self.repo: Repo = make_repo({path: {"path": path} for path in paths}, did=DID, key=self.key)
        self.raw = self.repo.car()
        self.records = {path: self.repo.blocks[cid] for path, cid in self.repo.paths.items()}
        self.nodes = [
            cid for cid in self.repo.blocks if cid not in self.repo.paths.values() and cid != self.repo.commit
        ]


# --- how to spoil ----------------------------------------------------------------------------------------------------


def spoil_bytes(raw: bytes, chance: random.Random, other: bytes) -> bytes:
    """A change or some, anywhere."""
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(raw) + 1)
        to = min(len(raw), at + chance.choice((0, 1, 1, 2, 4, 36, 100)))
        piece = chance.randrange(max(1, len(other)))
        new = chance.choice(
            (
                b"",
                chance.choice(EDGES),
                chance.randbytes(to - at),
                raw[to : to + 50],
                other[piece : piece + to - at],
                bytes(byte ^ 1 << chance.randrange(8) for byte in raw[at:to]),
            )
        )
        raw = raw[:at] + new + raw[to:]
    return raw[: chance.randrange(len(raw) + 1)] if chance.random() < 0.05 else raw


def _link(cid: bytes) -> cbor2.CBORTag:
    return cbor2.CBORTag(42, b"\0" + cid)


def spoil_node(  # noqa: C901 — ten ways, one after the other
    block: bytes,
    chance: random.Random,
    cids: list[bytes],
) -> bytes:
    """A node of another structure: entries moved, doubled, left out, linked and cut otherwise."""
    node: Any = cbor2.loads(block)
    entries: Any = node["e"]
    for _ in range(chance.choice((1, 1, 2, 4))):
        what, place = chance.randrange(10), chance.randrange(len(entries)) if entries else 0
        link = chance.choice((None, _link(chance.choice(cids))))
        if what == 0 or not entries:
            node["l"] = link
        elif what == 1:
            del entries[place]
        elif what == 2:
            entries.insert(chance.randrange(len(entries) + 1), dict(entries[place]))
        elif what == 3:
            chance.shuffle(entries)
        elif what == 4:
            entries[place]["t"] = link
        elif what == 5:
            entries[place]["v"] = _link(chance.choice(cids))
        elif what == 6:
            entries[place]["p"] += chance.choice((-1, 1, 5, -(2**40), 2**40))
        elif what == 7:
            entries[place]["k"] = spoil_bytes(entries[place]["k"], chance, b"app.example.post/000")
        elif what == 8:
            entries[place][chance.choice("kptvx")] = chance.choice((None, True, 0, "text", b"", [], {}, -1, 2**63))
        else:
            node[chance.choice("elx")] = chance.choice((None, True, 0, "text", b"", [], {}, [[]], [None]))
    return cbor2.dumps(node, canonical=True)


def relinked(subject: Subject, old: bytes, block: bytes, *, sign: bool) -> bytes:
    """The CAR with another block for a CID, every link to it on the way up set right, signed anew or not."""
    blocks, data = dict(subject.repo.blocks), subject.repo.data
    del blocks[subject.repo.commit]
    changed = [(old, block)]
    for was, new in changed:
        blocks.pop(was, None)
        name = cid_of(new)
        blocks[name] = new
        data = name if was == data else data
        changed += [(cid, raw.replace(was, name)) for cid, raw in list(blocks.items()) if was in raw and cid != name]
        if len(changed) > 50:  # it links to itself from above
            break
    commit = signed_commit(data, did=DID, key=subject.key) if sign else subject.repo.blocks[subject.repo.commit]
    if not sign:
        commit = commit.replace(subject.repo.data, data)
    return car([cid_of(commit)], [(cid_of(commit), commit), *blocks.items()])


# --- what must hold --------------------------------------------------------------------------------------------------


def check_unsigned(raw: bytes, subject: Subject, chance: random.Random) -> str:
    """Whole or in a slice, only what was signed is proven."""
    try:
        records = proven(raw, did=DID, key=subject.key.did_key)
    except InvalidProof as refused:
        outcome = refused.what
    else:
        if records != subject.records:
            raise Wrong("changed records pass for proven")
        outcome = "whole"
    try:
        low, high = sorted(f"app.example.post/{chance.randrange(400):05}" for _ in range(2))
        roots, blocks = Blocks.of_car(raw)
        commit = read_commit((blocks.get(roots[0]) if roots else None) or b"")
        check_commit(commit, did=Did(DID), key=PublicKey.parse(subject.key.did_key))
        found = read(blocks, commit.data, low.encode(), high.encode())
        got = {path: blocks.get(cid) for path, cid in found.entries.items()}
    except InvalidProof:
        return outcome
    wanted = {path: block for path, block in subject.records.items() if low <= path < high}
    if any(block not in (None, wanted.get(path)) for path, block in got.items()):
        raise Wrong("a changed record passes for proven in a slice")
    if not found.missing and list(got) != sorted(wanted):
        raise Wrong("a slice passes for complete that isn't")
    return outcome


Shape = tuple[Any, ...]


def shape(blocks: Blocks | dict[bytes, bytes], cid: bytes | None, depth: int = 0) -> Shape | None:
    """A tree as nested tuples, by the obvious way: (tree, key, value, tree, key, …)."""
    if cid is None or depth > 200:
        return None
    node: Any = cbor2.loads(blocks.get(cid) or b"")
    left = node["l"]
    parts: list[Any] = [shape(blocks, None if left is None else left.value[1:], depth + 1)]
    before = b""
    for entry in node["e"]:
        before = before[: entry["p"]] + entry["k"]
        after = entry["t"]
        parts += (before, entry["v"].value[1:], shape(blocks, None if after is None else after.value[1:], depth + 1))
    return tuple(parts)


def check_signed(raw: bytes, subject: Subject) -> str:
    """A signed commit proves only a tree of the right shape, and then all its records."""
    try:
        records = proven(raw, did=DID, key=subject.key.did_key)
    except InvalidProof as refused:
        return refused.what
    _, blocks = Blocks.of_car(raw)
    root = next(iter(Blocks.of_car(raw)[0]))
    data = read_commit(blocks.get(root) or b"").data
    right: dict[bytes, bytes] = {}
    top = build_tree({path.encode(): cid_of(block) for path, block in records.items()}, right)
    if shape(blocks, data) != shape(right, top):
        raise Wrong("a tree of the wrong shape passes for proven")
    return "whole"


def check_inversion(subject: Subject, chance: random.Random) -> str:
    """Only the operations that were made lead back to the tree before."""
    paths = dict(subject.repo.paths)
    before = dict(paths)
    for path in chance.sample(sorted(paths), min(len(paths), chance.randrange(4))):
        if chance.random() < 0.5:
            before[path] = cid_of(b"older")
        else:
            del before[path]
    for _ in range(chance.randrange(3)):
        before[f"app.example.post/{chance.randrange(999):05}x"] = cid_of(b"gone")
    ops = [
        Op(path=p, cid=paths.get(p), prev=before.get(p)) for p in {**paths, **before} if paths.get(p) != before.get(p)
    ]
    root = build_tree({path.encode(): cid for path, cid in before.items()}, {})
    blocks, spoilt = Blocks(), chance.choice((None, *subject.nodes))
    for cid in subject.nodes:
        raw = subject.repo.blocks[cid]
        blocks.put(cid, spoil_bytes(raw, chance, raw) if cid == spoilt and chance.random() < 0.5 else raw)
    told = list(ops)
    for _ in range(chance.choice((0, 1, 1, 2))):
        link = chance.choice((None, cid_of(b"older"), cid_of(b"gone"), *list(paths.values())[:5]))
        path = chance.choice((*sorted(paths), "app.example.post/new", "no path", ""))
        told = chance.choice(
            (
                told[1:],
                [*told, Op(path=path, cid=link, prev=paths.get(path))],
                [*told, Op(path=path, cid=paths.get(path), prev=link)],
                [Op(path=op.path, cid=op.cid, prev=link) for op in told],
            )
        )
    net = {(op.path, op.cid, op.prev) for op in told if op.cid != op.prev}
    try:
        found = invert(blocks, subject.repo.data, told)
    except InvalidProof as refused:
        return refused.what
    if (found == root) != (net == {(op.path, op.cid, op.prev) for op in ops}):
        raise Wrong("other operations lead back to the tree before" if found == root else "the tree before isn't found")
    return "inverted"


# --- the run ---------------------------------------------------------------------------------------------------------


def case(subjects: list[Subject], chance: random.Random) -> tuple[Callable[[], str], bytes]:
    """The check, and the file that it is about."""
    subject, other = chance.choice(subjects), chance.choice(subjects)
    way, blocks = chance.randrange(6), subject.repo.blocks
    if way == 0:
        raw = spoil_bytes(subject.raw, chance, other.raw)
    elif way == 1:
        cids = list(blocks)
        change = {chance.choice(cids): blocks[chance.choice(cids)] for _ in range(chance.choice((1, 2)))}
        raw = car([subject.repo.commit], [(cid, change.get(cid, block)) for cid, block in blocks.items()])
    elif way == 2:
        return lambda: check_inversion(subject, chance), subject.raw
    else:
        cid = chance.choice(subject.nodes)
        try:
            new = spoil_node(blocks[cid], chance, list(blocks))
        except (TypeError, KeyError, AttributeError):  # spoilt twice, in ways that don't go together
            new = spoil_bytes(blocks[cid], chance, blocks[cid])
        raw = relinked(subject, cid, new, sign=way > 3)
        if way > 3:
            return lambda: check_signed(raw, subject), raw
    return lambda: check_unsigned(raw, subject, chance), raw


def late(_number: int, _frame: FrameType | None) -> None:
    """A case hangs."""
    raise Wrong(f"not done after {SLOWEST:g} s")


def main() -> int:
    """Spoil and check until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("seconds", type=float, nargs="?", default=float(os.environ.get("SOAK_SECONDS", "180")))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    arguments = parser.parse_args()
    subjects = [Subject(size, p256=size % 2 == 1) for size in (0, 1, 2, 5, 13, 40, 40, 41, 130, 400)]
    signal.signal(signal.SIGALRM, late)
    ends: Counter[str] = Counter()
    end, slowest = monotonic() + arguments.seconds, 0.0
    while monotonic() < end:
        chance = random.Random(f"{arguments.seed}/{ends.total()}")  # noqa: S311 — that a case can be had again
        check, raw = case(subjects, chance)
        start = perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, SLOWEST)
            ends[check()] += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Exception as error:  # noqa: BLE001 — whatever it is, it is what is looked for
            signal.setitimer(signal.ITIMER_REAL, 0)
            with tempfile.NamedTemporaryFile(suffix=".car", delete=False) as file:
                file.write(raw)
            print(f"case {ends.total()} of seed {arguments.seed}, {file.name}: {type(error).__name__}: {error}")
            return 1
        slowest = max(slowest, perf_counter() - start)
    passed = ends["whole"] + ends["inverted"]
    print(
        f"{ends.total():,} spoilt repositories in {arguments.seconds:g} s (seed {arguments.seed}): "
        f"{ends.total() - passed:,} refused for {len(ends) - 2} reasons, {passed:,} still right, none wrong; "
        f"the slowest took {slowest * 1000:.0f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
