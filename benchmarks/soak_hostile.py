"""Crawl, build and serve random hostile catalogs; the honest accounts among them must be complete.

    python benchmarks/soak_hostile.py [CASES] [--seed N] [--only N]

Each case is generated from its number: accounts with invalid records, DID documents and responses (listings, CARs,
JSON, statuses, headers), a firehose with invalid frames, and invalid exported repositories and manifests. Honest
accounts are on a server of their own. Crawl, build and AppView each run in their own process. For each case:

- no exception except the package's own, no contained ``InternalError``, no traceback;
- every honest record is in the store, has a page, and is found by the AppView;
- crawl, build and AppView use less than 1 GiB each.

Then 60 stalled hosts and 40 honest ones: the seconds until the 40 are read. Exit code 1 at any violation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import mkdocs.commands.build
import mkdocs.config

import catalog.crawl
import catalog.errors
from benchmarks.crawl_network import memory_folder
from catalog.appview.index import Index, directory
from catalog.appview.indexer import Indexer
from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import streams as live
from catalog.network import http
from catalog.store import Store
from catalog.store.reader import Reader
from tests import repos, streams
from tests.appviewservices import PREFIX, asking
from tests.fakes import fake_server
from tests.hostilerecords import PAYLOADS, hostile_records
from tests.world import FAMILIES, Account, Reply, World, names_of, records_of, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.atproto.datamodel import Json
    from tests.fakes import Asked

CASES: Final = 300
MOST_BYTES: Final = 1 << 30
PATIENCE: Final = 120.0
"""Seconds after which a step is ended."""
STALLED: Final = 60
HONEST: Final = 40
WANTED_SECONDS: Final = 30.0
TEXTS: Final = (
    *PAYLOADS.values(), "", " ", "\u0000", "\ufffd",
    "\ufdfa",
    "../../../etc/passwd", "https://xn--", "http://[::1", "at://", "did:plc:", "did:web:..", "a" * 70_000, "9" * 5000,
    "1e999", "index.html", "index.json", "catalog-shell", "__proto__", "con", "\u202egnp.exe", "%00",
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 2**53, -(2**63), 2**63 - 1, [], {}, [[]] * 2000, {"$link": "x"}, {"$bytes": "!"},
    {"$type": "blob"}, [None], [0] * 5000, {str(n): n for n in range(500)},
)  # fmt: skip
STATUSES: Final = (200, 204, 206, 301, 302, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503)
HEADERS: Final = (
    ("Content-Length", "0"), ("Content-Length", "99999999"), ("Content-Encoding", "gzip"), ("Content-Encoding", "br"),
    ("Content-Type", "text/html; charset=\u00e9"), ("RateLimit-Remaining", "0"), ("RateLimit-Reset", "290"),
    ("Retry-After", "9" * 30), ("Location", "http://169.254.169.254/"), ("Location", "//["),
    ("Set-Cookie", "a=" + "b" * 9000),
    ("Transfer-Encoding", "chunked"), ("X-Long", "x" * 60_000),
)  # fmt: skip


# --- spoiling ------------------------------------------------------------------------------------------------


def spoil(chance: random.Random, value: Any, share: float) -> Any:  # noqa: ANN401 - any JSON
    """A value of which about this share is something else."""
    if chance.random() < share:
        return chance.choice(VALUES) if chance.random() < 0.5 else chance.choice(TEXTS)
    if isinstance(value, dict):
        found = {
            (chance.choice(TEXTS)[:200] if chance.random() < share / 3 else name): spoil(chance, one, share)
            for name, one in value.items()
            if chance.random() > share / 3
        }
        if chance.random() < share:
            found[chance.choice(TEXTS)[:200]] = chance.choice(VALUES)
        return found
    if isinstance(value, list):
        found_list = [spoil(chance, one, share) for one in value]
        return found_list * chance.choice((0, 2, 300)) if chance.random() < share else found_list
    if isinstance(value, str) and chance.random() < share:
        at = chance.randrange(len(value) + 1)
        return value[:at] + chance.choice(TEXTS) + value[at:]
    if isinstance(value, int | float) and chance.random() < share:
        return chance.choice((-value, value * 2**40, value + 0.5, str(value)))
    return value


def spoil_bytes(chance: random.Random, raw: bytes) -> bytes:
    """Bytes of which some are others, missing or repeated."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at:]
            case 2:
                del data[at : at + chance.randint(1, 40)]
            case 3:
                data[at:at] = data[:at][-200:]
            case _:
                data[at:at] = chance.choice((b"\xff" * 9, b"\x9b" + b"\xff" * 8, b"[" * 3000, b"\x81" * 3000, b"\0"))
    return bytes(data)


def spoil_reply(  # noqa: PLR0911 - one for each way
    chance: random.Random, share: float, asked: Asked, method: str, reply: Reply
) -> Reply:
    """An answer that is another with this chance: JSON, bytes, status or headers."""
    del asked, method
    if chance.random() > share:
        return reply
    match chance.randrange(6):
        case 0 | 1:
            with suppress(ValueError):
                return replace(reply, body=json.dumps(spoil(chance, json.loads(reply.body), 0.15)).encode())
            return replace(reply, body=spoil_bytes(chance, reply.body))
        case 2:
            return replace(reply, body=spoil_bytes(chance, reply.body))
        case 3:
            return replace(reply, status=chance.choice(STATUSES))
        case 4:
            name, text = chance.choice(HEADERS)
            return replace(reply, headers={**reply.headers, name: text.encode().decode("latin-1")})
        case _:
            return replace(
                reply, body=chance.choice((b"", b"null", b"[]", b"{}", b"<html>", b"[" * 100_000, b'{"repos":5}'))
            )


def spoilt_records(chance: random.Random, did: str) -> dict[str, Json]:
    """Records of all kinds, each spoilt in its own way; those that no repository can have are left out."""
    made = dict(records_of(did, "mallory"))
    for collection, key, value in hostile_records(did, chance.choice(list(PAYLOADS.values()))):
        made[f"{collection}/{key}"] = {"$type": collection, **value}
    found: dict[str, Json] = {}
    share = chance.choice((0.02, 0.05, 0.2))
    for path, value in made.items():
        spoilt = spoil(chance, value, share)
        with suppress(Exception):
            repos.encode(spoilt)
            found[path] = spoilt
    return found


# --- one case ------------------------------------------------------------------------------------------------


class Case:
    """One hostile catalog: its servers and its folder."""

    def __init__(self, number: int, folder: Path) -> None:
        self.folder = folder
        self.chance = random.Random(number)  # noqa: S311 - the same case each time
        self.sources: list[tuple[str, str]] = []
        self.honest: list[Account] = []

    def open(self, stack: ExitStack) -> dict[str, Any]:
        """Start the servers; what the other processes have to know."""
        chance = self.chance
        good = stack.enter_context(world(chance.choice(FAMILIES)))
        bad = stack.enter_context(world(chance.choice(FAMILIES)))
        honest = [good.add(name) for name in ("alice", "bob")]
        for number in range(3, 6):
            account = good.add(f"mallory{number}", {})
            account.pds = bad.fake.url
            account.records = spoilt_records(chance, account.did)
            bad.accounts[account.did] = account
        hostile = list(bad.accounts.values())
        dids = {account.did for account in hostile}
        bad.change = partial(spoil_reply, chance, chance.choice((0.0, 0.1, 0.4)))
        documents = partial(spoil_reply, chance, chance.choice((0.0, 0.3)))

        def directory(asked: Asked, method: str, reply: Reply) -> Reply:
            spoilt = method == "plc" and asked.path[1:] in dids
            return documents(asked, method, reply) if spoilt else reply

        good.change = directory
        frames = self._frames(hostile)
        stream = stack.enter_context(streams.fake_stream(frames))
        self._files(hostile[0])
        sources = [
            ("pds", good.fake.url), ("pds", bad.fake.url), ("relay", bad.fake.url), ("manifests", "manifests"),
            *(("repo", account.did) for account in hostile), ("car", "exported.car"),
        ]  # fmt: skip
        if chance.random() < 0.3:
            sources.append((chance.choice(("firehose", "jetstream")), stream.url))
        return {
            "url": good.fake.url,
            "sources": sources,
            "honest": {account.did: names_of(account) for account in honest},
            "verified": "sync.getRepo" not in good.family.missing,
            "families": [good.family.name, bad.family.name],
        }

    def _frames(self, hostile: list[Account]) -> Callable[..., None]:
        chance = self.chance
        made = []
        for number, account in enumerate(hostile, 1):
            body = streams.commit_body(account.repo, None, did=account.did, rev=account.rev, seq=number)
            for kind, value in (
                ("#commit", body),
                ("#account", {"seq": 50 + number, "did": account.did, "active": False}),
            ):
                with suppress(Exception):
                    made.append(streams.frame(kind, spoil(chance, value, 0.1)))
                made.append(spoil_bytes(chance, streams.frame(kind, value)))

        def play(connection: Any) -> None:  # noqa: ANN401 - a websocket
            for one in made:
                connection.send(one)
            with suppress(Exception):
                connection.recv(timeout=2)

        return play

    def _files(self, account: Account) -> None:
        chance = self.chance
        (self.folder / "exported.car").write_bytes(spoil_bytes(chance, account.repo.car()))
        folder = self.folder / "manifests"
        folder.mkdir()
        manifest: dict[str, Any] = {
            "schemas": [{"name": "S", "version": "1.0.0", "fields": {"a": "int", "b": "array[float32, 3]"}}],
            "datasets": [
                {
                    "name": "d",
                    "schema": "S@1.0.0",
                    "license": "MIT",
                    "tags": ["x"],
                    "shards": [{"url": "https://data.example/a.tar", "sha256": "0" * 64}],
                }
            ],
        }
        good = json.dumps({"schemas": [{"name": "Kept", "version": "1.0.0", "fields": {"a": "int"}}]})
        (folder / "good.yaml").write_text(good, encoding="utf-8")
        text = json.dumps(spoil(chance, manifest, 0.1)).encode()
        (folder / "bad.yaml").write_bytes(text if chance.random() < 0.6 else spoil_bytes(chance, text))
        (self.folder / "docs").mkdir()
        (self.folder / "docs" / "index.md").write_text("# Home\n", encoding="utf-8")


def settings_of(known: dict[str, Any], folder: Path) -> CatalogSettings:
    """The settings of a case's catalog."""
    network = NetworkSettings(plc_url=known["url"], allow_loopback=True, handle_resolver=known["url"])
    sources = tuple(Source(kind=kind, value=value) for kind, value in known["sources"])
    return CatalogSettings(store=folder / "store.sqlite", sources=sources, network=network, base=folder)


class Hurried:
    """A clock on which pauses take no time, so that a host that asks for them can be waited for."""

    def __init__(self) -> None:
        self.more = 0.0
        self.lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        """Pass over a pause."""
        with self.lock:
            self.more += seconds
        time.sleep(min(seconds, 0.002))

    def __call__(self) -> float:
        """The time with all pauses."""
        return time.monotonic() + self.more


def crawled(known: dict[str, Any], folder: Path) -> list[str]:
    """Crawl twice; what is wrong."""
    clock = Hurried()
    live.IDLE_SECONDS = 0.5  # type: ignore[misc]
    catalog.crawl.Client = partial(http.Client, sleep=clock.sleep, clock=clock)  # type: ignore[misc,assignment]
    settings = settings_of(known, folder)
    wrong = []
    with Store.open(settings.store) as store:
        for _ in range(2):
            report = catalog.crawl.crawl(settings, store)
            text = "\n".join([*report.lines(), *(one for source in report.sources for one in source.problems)])
            wrong += [
                f"reported: {line[:300]}"
                for line in text.splitlines()
                if re.search(r"unexpected \w*(Error|Exception|Exit)", line)
            ]
            wrong += _lost(store, known)
        kept = [r for r in store.records() if r.draft and isinstance(r.value, dict) and r.value.get("name") == "Kept"]
        if not kept:
            wrong.append("the good manifest's schema is lost")
    return wrong


def _lost(store: Store, known: dict[str, Any]) -> list[str]:
    wrong = []
    for did, names in known["honest"].items():
        found = [record for record in store.records() if record.did == did and isinstance(record.value, dict)]
        if sorted(str(record.value["name"]) for record in found) != names:  # type: ignore[index,call-overload]
            wrong.append(f"lost: {did} has {len(found)} of {len(names)} records ({known['families'][0]})")
        elif {record.verified for record in found} != {known["verified"]}:
            wrong.append(f"not verified: {did} ({known['families'][0]})")
    return wrong


def built(known: dict[str, Any], folder: Path) -> list[str]:
    """Build the site from the store; what is wrong."""
    block = {"store": "store.sqlite", "crawl": False, "sources": [dict([one]) for one in known["sources"]]}
    config = {"site_name": "Hostile", "theme": {"name": "material", "font": False}, "plugins": [{"catalog": block}]}
    (folder / "mkdocs.yml").write_text(json.dumps(config), encoding="utf-8")
    os.environ |= {"CATALOG_PLC_URL": known["url"], "CATALOG_ALLOW_LOOPBACK": "1", "CATALOG_OFFLINE": "1"}
    mkdocs.commands.build.build(mkdocs.config.load_config(str(folder / "mkdocs.yml")))
    wrong = []
    for did, names in known["honest"].items():
        pages = list((folder / "site" / "datasets").glob(f"*{did.removeprefix('did:plc:')}*/*/index.html"))
        datasets = sum(name.rpartition(" ")[2].isdigit() for name in names)
        if len(pages) < datasets:
            wrong.append(f"{len(pages)} of {datasets} pages of {did}")
    return wrong


def served(known: dict[str, Any], folder: Path) -> list[str]:
    """Ask the AppView; what is wrong."""
    wrong = []
    reader = Reader(folder / "store.sqlite")
    with Indexer(Index(directory(folder / "store.sqlite")), reader) as indexer:
        indexer.catch_up()
    reader.close()
    with asking(folder / "store.sqlite", folder / "counts", requests=1_000_000) as service:
        for did, names in known["honest"].items():
            answer = service.send(f"{PREFIX}listEntries?repo={did}&limit=100")
            found = answer.json().get("entries", []) if answer.status_code == 200 else []
            if len(found) != sum(name.rpartition(" ")[2].isdigit() for name in names):
                wrong.append(f"listEntries of {did}: {answer.status_code}, {len(found)} entries")
        for query in ("searchDatasets?q=alice", "search?q=a*&facets=tag&facets=kind", "suggest?q=m", "getStatistics"):
            answer = service.send(f"{PREFIX}{query}")
            if answer.status_code >= 500:
                wrong.append(f"{query}: {answer.status_code} {answer.text[:200]}")
    return wrong


# --- processes -----------------------------------------------------------------------------------------------


def _watch_internal(wrong: list[str]) -> None:
    """Note each exception that is contained as one nobody thought of, with where it came from."""
    make = catalog.errors.InternalError.__init__

    def noted(self: Any, what: str, *, origin: str = "", where: str | None = None) -> None:  # noqa: ANN401
        error = sys.exception()
        trace = "".join(traceback.format_exception(error)[-6:]) if error is not None else ""
        wrong.append(f"InternalError: {what[:200]} at {origin} ({(where or '')[:100]})\n{trace[-1500:]}")
        make(self, what, origin=origin, where=where)

    catalog.errors.InternalError.__init__ = noted  # type: ignore[method-assign]


def apart(work: Callable[[], list[str]], output: Path) -> tuple[list[str], int, float]:
    """Do something in a forked process: what is wrong, its peak of memory in bytes, its seconds."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 0
        try:
            log = os.open(output.with_suffix(".log"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            wrong: list[str] = []
            _watch_internal(wrong)
            try:
                wrong += work()
            except BaseException as error:  # noqa: BLE001 - all that ends a step is a finding
                wrong.append(f"{type(error).__name__} ended it: {str(error)[:300]}\n{traceback.format_exc()[-1500:]}")
            output.write_text(json.dumps(wrong), encoding="utf-8")
        except BaseException:  # noqa: BLE001
            code = 1
        os._exit(code)
    timer = threading.Timer(PATIENCE, os.kill, (child, signal.SIGKILL))
    timer.start()
    _, status, used = os.wait4(child, 0)
    timer.cancel()
    timer.join()
    seconds = time.monotonic() - begun
    log_text = output.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    if not output.exists() or status:
        return [f"ended with status {status} after {seconds:.0f} s\n{log_text[-1500:]}"], used.ru_maxrss * 1024, seconds
    found: list[str] = json.loads(output.read_text(encoding="utf-8"))
    if "Traceback" in log_text:
        found.append("traceback in what it printed:\n" + log_text[log_text.index("Traceback") :][-1500:])
    return found, used.ru_maxrss * 1024, seconds


def run_case(number: int, folder: Path) -> dict[str, tuple[list[str], int, float]]:
    """Crawl, build and serve one case; each step's outcome."""
    read, write = os.pipe()
    server = os.fork()
    if server == 0:
        os.close(read)
        try:
            with ExitStack() as stack:
                known = Case(number, folder).open(stack)
                os.write(write, json.dumps(known).encode() + b"\n")
                os.close(write)
                signal.pause()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        os._exit(0)
    os.close(write)
    try:
        with os.fdopen(read) as lines:
            known = json.loads(lines.readline() or "{}")
        if not known:
            return {"servers": (["they didn't start"], 0, 0.0)}
        steps = {"crawl": crawled, "build": built, "appview": served}
        return {name: apart(partial(step, known, folder), folder / f"{name}.json") for name, step in steps.items()}
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


# --- stalled hosts -------------------------------------------------------------------------------------------


def stalled(folder: Path) -> float | None:
    """Crawl 60 hosts that never answer and 40 that do; the seconds until those are read, None where they weren't."""
    listening: list[socket.socket] = []
    with ExitStack() as stack:
        running: World = stack.enter_context(world())
        for number in range(STALLED + HONEST):
            account = running.add(f"account{number}")
            if number < STALLED:
                listening.append(socket.create_server(("127.0.0.1", 0), backlog=64))
                account.pds = f"http://127.0.0.1:{listening[-1].getsockname()[1]}"
            else:
                one = stack.enter_context(fake_server({}))
                one.routes = running.fake.routes
                account.pds = one.url
        sources = [("relay", running.fake.url)]
        settings = settings_of({"url": running.fake.url, "sources": sources}, folder)
        honest = [account.did for account in list(running.accounts.values())[STALLED:]]
        Store.open(settings.store).close()
        child = os.fork()
        if child == 0:
            with suppress(BaseException), Store.open(settings.store) as store:
                catalog.crawl.crawl(settings, store)
            os._exit(0)
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < 4 * WANTED_SECONDS:
                with Store.open(settings.store) as store:
                    if {record.did for record in store.records()} >= set(honest):
                        return time.monotonic() - begun
                time.sleep(0.2)
            return None
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            for one_socket in listening:
                one_socket.close()


def main() -> int:
    """All cases, then the stalled hosts, and a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cases", type=int, nargs="?", default=CASES)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", type=int, help="one case, with all that is wrong")
    asked = parser.parse_args()
    numbers = range(asked.seed, asked.seed + asked.cases) if asked.only is None else range(asked.only, asked.only + 1)
    most: Counter[str] = Counter()
    longest: dict[str, tuple[float, int]] = {}
    slowest = (0.0, -1)
    failed = 0
    kinds: Counter[str] = Counter()
    begun = time.monotonic()
    for number in numbers:
        with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
            outcome = run_case(number, Path(folder))
        total = sum(seconds for _, _, seconds in outcome.values())
        slowest = max(slowest, (total, number))
        wrong = [f"{step}: {text}" for step, (texts, _, _) in outcome.items() for text in texts]
        for step, (_, peak, seconds) in outcome.items():
            most[step] = max(most[step], peak)
            longest[step] = max(longest.get(step, (0.0, -1)), (seconds, number))
            if peak > MOST_BYTES:
                wrong.append(f"{step}: {peak / 2**20:,.0f} MiB of memory")
        failed += bool(wrong)
        for text in dict.fromkeys(wrong):
            first = text.splitlines()[0][:160]
            kinds[first.split(" (")[0]] += 1
            if kinds[first.split(" (")[0]] == 1 or asked.only is not None:
                print(f"case {number}: {text}", flush=True)
    print(f"{len(numbers)} cases in {time.monotonic() - begun:.0f} s, {failed} of them wrong")
    for step, (seconds, number) in longest.items():
        print(f"  {step:8} at most {most[step] / 2**20:5.0f} MiB, {seconds:5.1f} s (case {number})")
    print(f"  slowest: case {slowest[1]}, {slowest[0]:.1f} s")
    if asked.only is not None:
        return int(failed > 0)
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        seconds_read = stalled(Path(folder))
    when = "never" if seconds_read is None else f"after {seconds_read:.1f} s"
    print(f"{STALLED} stalled hosts beside {HONEST} honest ones: all read {when} (wanted: {WANTED_SECONDS:.0f} s)")
    return int(failed > 0 or seconds_read is None or seconds_read > WANTED_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
