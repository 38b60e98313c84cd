"""The AppView on a real PDS: what is committed there is found in a moment, what is deleted is gone, whatever dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx
import pytest

from catalog.records import DATASET, LABEL, SCHEMA
from tests import sitecatalog
from tests.appviewservices import PREFIX, Served, checked, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, Network

PATIENCE = 60.0
"""The deadline of each wait. benchmarks/soak_appview.py measures how long records take to be found."""
TIME = "2026-01-02T03:04:05.000Z"


def _config(network: Network, folder: Path, *more: str) -> Path:
    file = folder / "mkdocs.yml"
    sources = "".join(f"        - {source}\n" for source in more)
    firehose = network.pds_url.replace("http", "ws", 1)
    file.write_text(
        "plugins:\n  - catalog:\n      store: store.sqlite\n      appview: {rate_limit: false}\n"
        f"      sources:\n        - firehose: {firehose}\n{sources}",
        encoding="utf-8",
    )
    return file


def _dataset(account: Account, name: str, **more: Json) -> dict[str, Json]:
    reference = f"at://{account.did}/{SCHEMA}/Digit:1.0.0"
    return sitecatalog.dataset(1, **{"name": name, "schemaRef": reference, "createdAt": TIME, **more})


def _until(holds: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


def _live(served: Served, network: Network, account: Account) -> None:
    """Until what is committed arrives by the stream, and not by the crawl before it."""
    served.until_ready()
    network.create_record(account, DATASET, _dataset(account, "herald"))
    _until(lambda: served.query("searchDatasets", q="herald")["entries"], "the stream is followed")


def test_what_is_committed_is_found_and_what_is_deleted_is_gone(network: Network, tmp_path: Path) -> None:
    """A dataset by its words, changed words, all kinds of record by their lists, and no more."""
    account = network.account("live")
    with serving(_config(network, tmp_path)) as served:
        _live(served, network, account)

        def found(q: str) -> list[str]:
            return [entry["uri"] for entry in served.query("searchDatasets", q=q, repo=account.did)["entries"]]

        made = network.create_record(account, DATASET, _dataset(account, "moonrise"))
        rkey = made["uri"].rpartition("/")[2]
        _until(lambda: found("moonrise") == [made["uri"]], "found")
        entry = served.query("getEntry", uri=made["uri"])["entry"]
        assert (entry["cid"], entry["verified"], entry["handle"]) == (made["cid"], True, account.handle)
        network.put_record(account, DATASET, rkey, _dataset(account, "moonset"))
        _until(lambda: found("moonset") == [made["uri"]] and not found("moonrise"), "changed")
        assert len(served.query("getHistory", uri=made["uri"])["versions"]) == 2
        network.create_record(account, SCHEMA, {**sitecatalog.schema("Digit"), "createdAt": TIME}, "Digit:1.0.0")
        label: dict[str, Json] = {"$type": LABEL, "name": "moon", "datasetUri": made["uri"], "createdAt": TIME}
        network.create_record(account, LABEL, label)
        _until(lambda: served.query("listLabels", repo=account.did)["labels"], "a label")
        assert served.query("resolveLabel", handle=account.handle, name="moon")["uri"] == made["uri"]
        assert served.query("resolveSchema", handle=account.handle, schemaId="Digit")["record"]["name"] == "Digit"
        network.delete_record(account, DATASET, rkey)
        _until(lambda: not found("moonset"), "gone")
        assert served.client.get(f"{PREFIX}getEntry", params={"uri": made["uri"]}).status_code == 404
        assert served.client.get(f"{PREFIX}resolveLabel?handle={account.did}&name=moon").status_code == 404
        _until(lambda: "catalog_following_age_seconds" in served.client.get("/metrics").text, "a heartbeat")
        assert served.end() == 0


class _Clients:
    """Clients that ask without a pause while something else goes on. Whatever is wrong with an answer is kept."""

    def __init__(self, url: str, did: str, count: int) -> None:
        self.wrong: list[str] = []
        self.asked = 0
        self._url, self._did = url, did
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _ask(self, number: int) -> None:
        questions: list[tuple[str, dict[str, str | int]]] = [
            ("searchDatasets", {"q": "storm"}), ("listEntries", {"repo": self._did, "limit": 100}),
            ("search", {"q": "st*", "facets": "tag"}), ("getStatistics", {}),
        ]  # fmt: skip
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._over.is_set():
                name, parameters = questions[(number + self.asked) % len(questions)]
                self.asked += 1
                try:
                    answer = checked(name, client.get(f"{PREFIX}{name}", params=parameters))
                except (AssertionError, httpx.HTTPError) as error:
                    self.wrong.append(f"{name}: {error!r}")
                    continue
                uris = [one["uri"] for one in answer.get("entries", answer.get("hits", []))]
                if len(set(uris)) != len(uris):
                    self.wrong.append(f"{name}: a record twice")
                time.sleep(0.02)  # two cores are shared by the PDS, the service and all of these


def _all(served: Served, q: str, did: str) -> list[str]:
    """The keys of all that is found, page by page."""
    keys: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = served.query("searchDatasets", q=q, repo=did, limit=7, **cursor)
        keys += [entry["uri"].rpartition("/")[2] for entry in answer["entries"]]
        if "cursor" not in answer:
            return keys
        cursor = {"cursor": answer["cursor"]}


def test_two_hundred_commits_while_clients_ask(network: Network, tmp_path: Path) -> None:
    """Each is visible in time, none is missed, none is there twice, and no client gets an error."""
    account = network.account("busy")
    head = {"authorization": f"Bearer {account.access_jwt}"}
    with (
        httpx.Client(base_url=network.pds_url, headers=head, timeout=60) as pds,
        serving(_config(network, tmp_path)) as served,
    ):
        _live(served, network, account)
        pending: set[str] = set()
        done = threading.Event()

        def commit(record: dict[str, Json], key: str) -> str:
            # On one connection: to make one for each commit costs more than all else here.
            body = {"repo": account.did, "collection": DATASET, "rkey": key, "record": record}
            return str(pds.post("/xrpc/com.atproto.repo.createRecord", json=body).raise_for_status().json()["uri"])

        def look() -> None:
            with httpx.Client(base_url=served.url, timeout=60) as client:
                while pending or not done.is_set():
                    seen: set[str] = set()
                    asked: dict[str, str | int] = {"q": "storm", "limit": 100}
                    while True:  # all of them: on a busy machine more than a page may come between two looks
                        answer = client.get(f"{PREFIX}searchDatasets", params=asked).json()
                        seen |= {entry["uri"] for entry in answer["entries"]} & pending
                        if "cursor" not in answer:
                            break
                        asked["cursor"] = answer["cursor"]
                    pending.difference_update(seen)
                    time.sleep(0.02)

        with _Clients(served.url, account.did, 4) as clients:
            looker = threading.Thread(target=look)
            looker.start()
            for number in range(200):
                record = _dataset(account, f"storm {number}", tags=["wind"])
                record["createdAt"] = f"2026-01-02T03:{number // 60:02}:{number % 60:02}.000Z"  # the newest come first
                uri = commit(record, f"3kstorm{number:03}")
                pending.add(uri)
            done.set()
            looker.join(PATIENCE)
        assert not pending, f"never found: {sorted(pending)[:5]}"
        assert clients.wrong == []
        assert clients.asked > 50
        assert sorted(_all(served, "storm", account.did)) == [f"3kstorm{number:03}" for number in range(200)]
        for number in range(0, 200, 2):
            body = {"repo": account.did, "collection": DATASET, "rkey": f"3kstorm{number:03}"}
            pds.post("/xrpc/com.atproto.repo.deleteRecord", json=body).raise_for_status()
        left = [f"3kstorm{number:03}" for number in range(1, 200, 2)]
        _until(lambda: sorted(_all(served, "storm", account.did)) == left, "the deleted are gone")


@pytest.mark.parametrize("victim", ["service", "follower"])
def test_nothing_is_missed_or_doubled_when_a_process_is_killed(network: Network, tmp_path: Path, victim: str) -> None:
    """The service with SIGKILL, and started again at the same address; or only the process that follows."""
    account = network.account("killed")
    config = _config(network, tmp_path)
    port = _free_port()
    served = Served(config, "--address", f"127.0.0.1:{port}")
    try:
        _live(served, network, account)
        for number in range(60):
            network.create_record(account, DATASET, _dataset(account, f"gale {number}"), f"3kgale{number:03}")
            if number == 30 and victim == "service":
                served.end(signal.SIGKILL)
                served = Served(config, "--address", f"127.0.0.1:{port}")
            elif number == 30:
                os.kill(_follower_of(served), signal.SIGKILL)
        expected = [f"3kgale{number:03}" for number in range(60)]
        served.until_ready()
        _until(lambda: sorted(_all(served, "gale", account.did)) == expected, "all are there, once")
        network.create_record(account, DATASET, _dataset(account, "aftermath"))
        _until(lambda: served.query("searchDatasets", q="aftermath")["entries"], "it is followed again")
        network.create_record(account, DATASET, _dataset(account, "epilogue"))
        _until(lambda: served.query("searchDatasets", q="epilogue")["entries"], "it is still followed")
    finally:
        served.end()


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _follower_of(served: Served) -> int:
    children = _children(served.process.pid)
    [follower] = [pid for pid in children if b"catalog.appview.worker" in _command(pid)]
    return follower


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # each thread has its own
    return [int(child) for found in lists for child in found.read_text(encoding="ascii").split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_follower_ends_with_the_service_that_was_killed(network: Network, tmp_path: Path) -> None:
    with serving(_config(network, tmp_path)) as served:
        served.until_ready()
        follower = _follower_of(served)
        served.end(signal.SIGKILL)

    def gone() -> bool:
        try:
            return b"catalog.appview.worker" not in _command(follower)
        except (FileNotFoundError, ProcessLookupError):
            return True

    _until(gone, "the follower ended")


def test_a_second_service_over_the_same_store_answers_and_takes_over(network: Network, tmp_path: Path) -> None:
    """Both may follow: one does, the other waits until it may."""
    account = network.account("two")
    config = _config(network, tmp_path)
    with serving(config) as first:
        _live(first, network, account)
        with serving(config) as second:
            second.until_ready()
            network.create_record(account, DATASET, _dataset(account, "shared"))
            _until(lambda: second.query("searchDatasets", q="shared")["entries"], "the second reads")
            first.end()
            network.create_record(account, DATASET, _dataset(account, "inherited"))
            _until(lambda: second.query("searchDatasets", q="inherited")["entries"], "the second follows")
