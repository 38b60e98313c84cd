"""More hosts that never answer than there are threads: those that answer are read meanwhile."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import CrawlReport, Tally, crawl
from catalog.crawl.schedule import THREADS
from catalog.store import Store
from tests.fakes import fake_server
from tests.manyaccounts import did_of, world

if TYPE_CHECKING:
    from collections.abc import Iterator

STALLED, HONEST = 60, 40


@pytest.fixture
def silent() -> Iterator[list[socket.socket]]:
    """Servers whose connections are opened and never answered, until they are closed."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=64))) for _ in range(STALLED)]


def test_forty_honest_hosts_are_read_while_sixty_stall(
    silent: list[socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the relay's list, and so in every queue, the sixty stand first; not one of them has failed yet."""
    assert STALLED > THREADS
    with world(0) as made, ExitStack() as stack, Store.open(tmp_path / "store.sqlite") as store:
        monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
        monkeypatch.setenv("CATALOG_PLC_URL", made.fake.url)
        for number in range(HONEST):
            pds = stack.enter_context(fake_server({}))
            made.add(STALLED + number, pds=pds.url)
            pds.routes.update({path: route for path, route in made.fake.routes.items() if "/xrpc/" in path})
        for number, server in enumerate(silent):
            made.add(number, pds=f"http://127.0.0.1:{server.getsockname()[1]}")
        reports, watched = list[CrawlReport](), list[Tally]()
        settings = CatalogSettings(
            store=Path("nowhere"),
            sources=(Source(kind="relay", value=made.fake.url),),
            network=NetworkSettings.from_environment(),
        )
        thread = threading.Thread(target=lambda: reports.append(crawl(settings, store, watch=watched.extend)))
        thread.start()
        honest = {did_of(STALLED + number) for number in range(HONEST)}
        while {record.did for record in store.records()} != honest:
            assert thread.is_alive(), reports
            thread.join(0.05)
        assert watched[0].troubles == 0, "none of the stalled hosts has been given up"
        monkeypatch.setattr("catalog.network.http.TRIES", 1)
        for server in silent:
            server.close()
        thread.join()
    assert reports[0].sources[0].troubles == STALLED
