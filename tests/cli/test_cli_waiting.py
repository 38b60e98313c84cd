"""The way out that the commands have in common: who waits for a host is told so."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from catalog.cli.common import network
from catalog.network import rate_limit as hosts
from tests.fakes import answer, fake_server

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from tests.fakes import Asked


def test_a_long_wait_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the host's name, before it begins; a short one isn't."""
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
    numbers = count()

    def route(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        if next(numbers) in (0, 2):
            handler.send_response(429)
            handler.send_header("Retry-After", "1")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            answer(handler, {"fine": True})

    with fake_server({"/": route}) as fake, network() as (client, _):
        assert client.get_json(fake.url) == {"fine": True}
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(hosts, "_WORTH_TELLING", 0.5)
        assert client.get_json(fake.url) == {"fine": True}
    told = capsys.readouterr()
    assert told.out == ""
    assert "rate limit reached; retrying in 1 s" in told.err
    assert fake.url.rpartition(":")[2].strip("/") in told.err, "the port is a part of the host's name"


@pytest.mark.parametrize("command", ["records", "manifests", "account"])
def test_no_command_that_reads_or_writes_accounts_has_a_way_out_of_its_own(command: str) -> None:
    """They would wait without a word."""
    from importlib import import_module
    from inspect import getsource

    source = getsource(import_module(f"catalog.cli.{command}"))
    assert "network()" in source
    assert "Client(" not in source
