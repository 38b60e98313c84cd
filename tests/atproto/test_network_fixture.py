"""The ground the other tests stand on: the network, the file servers and the browser are real and watched."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import NETWORK, HttpsServer, Network, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

ENTRY = "science.alt.dataset.entry"


def _entry(name: str) -> dict[str, object]:
    return {
        "$type": ENTRY,
        "name": name,
        "schemaRef": "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.schema/A:1.0.0",
        "createdAt": "2026-01-01T00:00:00Z",
        "storage": {
            "$type": "science.alt.dataset.storageHttp",
            "shards": [{"url": "https://example.org/a.tar", "checksum": {"algorithm": "sha256", "digest": "0" * 64}}],
        },
    }


def test_a_record_is_read_back_as_it_was_written(network: Network) -> None:
    """Create, replace, delete: the PDS takes lexicons it doesn't know, and each write is a new revision."""
    account = network.account("alice")
    made = network.create_record(account, ENTRY, _entry("one"), "3kaaaaaaaaaa2")
    assert made["uri"] == f"at://{account.did}/{ENTRY}/3kaaaaaaaaaa2"
    assert network.get_record(account.did, ENTRY, "3kaaaaaaaaaa2")["value"] == _entry("one")
    rev = network.latest_rev(account.did)

    changed = network.put_record(account, ENTRY, "3kaaaaaaaaaa2", _entry("two"))
    assert changed["cid"] != made["cid"]
    assert network.get_record(account.did, ENTRY, "3kaaaaaaaaaa2")["value"] == _entry("two")
    assert network.latest_rev(account.did) > rev

    network.delete_record(account, ENTRY, "3kaaaaaaaaaa2")
    with pytest.raises(AssertionError, match="RecordNotFound"):
        network.get_record(account.did, ENTRY, "3kaaaaaaaaaa2")


def test_accounts_are_in_the_directory_under_their_pds(network: Network) -> None:
    """Two accounts of one name are two DIDs; PLC names the PDS and the handle of each."""
    first, second = network.account("bob"), network.account("bob")
    assert first.did != second.did
    document = httpx.get(f"{network.plc_url}/{first.did}", timeout=60).json()
    assert document["alsoKnownAs"] == [f"at://{first.handle}"]
    assert [service["serviceEndpoint"] for service in document["service"]] == [network.pds_url]
    resolved = network.get("com.atproto.identity.resolveHandle", {"handle": second.handle})
    assert resolved == {"did": second.did}


def test_subprocesses_are_led_to_the_test_network(network: Network) -> None:
    """The commands under test run in processes of their own, and inherit the settings."""
    names = ("CATALOG_PLC_URL", "CATALOG_HANDLE_RESOLVER", "CATALOG_ALLOW_LOOPBACK")
    code = f"import os; print(*(os.environ[name] for name in {names!r}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [network.plc_url, network.pds_url, "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of the machine")
def test_the_network_listens_on_one_address_only(network: Network) -> None:
    """Another machine can't reach it: a server on all addresses would answer on 127.0.0.2 as well."""
    for url in (network.pds_url, network.plc_url):
        port = urlsplit(url).port
        assert port is not None
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=60)
    with socket.create_server(("", 0)) as everywhere:
        socket.create_connection(("127.0.0.2", everywhere.getsockname()[1]), timeout=60).close()


@pytest.mark.skipif(os.name != "posix", reason="kills a process by signal")
def test_the_network_ends_with_the_process_that_started_it() -> None:
    """Even when that is killed outright: its end of the pipe closes."""
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen(['node', 'server.mjs'], cwd={str(NETWORK)!r}, stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline().startswith('{"pds":')
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not _alive(child):
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the network outlived its parent")


def _alive(pid: int) -> bool:
    """Return whether a process runs; in a container without an init, dead ones may stay as zombies."""
    ran = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ran.stdout.strip() != "" and not ran.stdout.strip().startswith("Z")


def test_the_https_server_is_trusted_by_its_authority_only(
    tmp_path: Path, https_server: Callable[[Path], HttpsServer]
) -> None:
    """With the authority the file is read; without it the connection is refused."""
    (tmp_path / "a.txt").write_text("sampled", encoding="utf-8")
    server = https_server(tmp_path)
    trusting = ssl.create_default_context(cafile=str(server.authority))
    assert httpx.get(f"{server.url}/a.txt", verify=trusting, timeout=60).text == "sampled"
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{server.url}/a.txt", verify=ssl.create_default_context(), timeout=60)


def test_a_page_s_errors_and_strangers_are_seen(
    tmp_path: Path, serve: Callable[[Path], str], page: Page, watch: Watch
) -> None:
    """The control case of every "no errors, no other hosts": a page that has both."""
    (tmp_path / "good.html").write_text("<!doctype html><link rel=icon href=data:,><p>hello", encoding="utf-8")
    (tmp_path / "bad.html").write_text(
        "<!doctype html><link rel=icon href=data:,><img src='https://stranger.example/a.png'>"
        "<script>console.error('oh no'); throw new Error('thrown')</script>",
        encoding="utf-8",
    )
    base = serve(tmp_path)
    page.goto(f"{base}good.html")
    assert page.locator("p").inner_text() == "hello"
    assert (watch.errors, watch.strangers) == ([], [])
    page.goto(f"{base}bad.html")
    assert watch.strangers == ["https://stranger.example/a.png"]
    assert any("oh no" in error for error in watch.errors)
    assert any("thrown" in error for error in watch.errors)
