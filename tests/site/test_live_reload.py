"""``mkdocs serve`` follows manifests, the store, templates and settings, and writes pages on request."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from watchdog.events import FileModifiedEvent, FileSystemEventHandler

from catalog.config import read_settings
from catalog.site.live_reload import Inputs
from tests.sitecatalog import DID, MKDOCS, fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.store.graph import Graph

MANIFEST = """\
schemas:
  - name: Digit
    version: 1.0.0
    fields: {{label: int}}
datasets:
  - {{name: {name}, schema: Digit@1.0.0, samples: 1, shards: [{{url: "https://data.example/{name}.tar"}}]}}
"""


@dataclass
class Server:
    """What ``mkdocs serve`` gives to plugins, without threads: a test calls the handlers itself."""

    mount_path: str = "/catalog/"
    watched: list[str] = field(default_factory=list)
    folders: dict[tuple[str, bool], FileSystemEventHandler] = field(default_factory=dict)
    app: Callable[..., Any] = lambda _environ, _start: [b"app"]

    @property
    def observer(self) -> Server:
        return self

    def watch(self, path: str) -> None:
        assert Path(path).exists()
        self.watched.append(path)

    def schedule(self, handler: FileSystemEventHandler, path: str, *, recursive: bool) -> None:
        assert Path(path).is_dir()
        self.folders[path, recursive] = handler

    def get_app(self) -> Callable[..., Any]:
        return self.app

    def set_app(self, app: Callable[..., Any]) -> None:
        self.app = app

    def events(self) -> int:
        """Send an event to every handler; return how often a rebuild was asked for."""
        before = self.changes()
        for handler in list(self.folders.values()):
            handler.on_any_event(FileModifiedEvent(""))
        return self.changes() - before

    def changes(self) -> int:
        file = next(Path(path, "changed") for path in self.watched if "catalog-changed-" in path)
        return int(file.read_text()) if file.exists() else 0


def _names(graph: Graph) -> list[str]:
    return sorted(node.name for node in graph.datasets)


def _write(file: Path, name: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(MANIFEST.format(name=name).replace("Digit", f"Digit{name}"))


@pytest.mark.parametrize("source", ["m", "m/*.yaml", "*.yaml", "one.yaml", "later/deep"])
def test_a_rebuild_is_asked_for_exactly_when_a_manifest_changes(tmp_path: Path, source: str) -> None:
    sources = [{"manifests": "base/a.yml"}, {"manifests": source}]
    settings = read_settings({"store": ".catalog/s.sqlite", "sources": sources}, tmp_path)
    _write(tmp_path / "base" / "a.yml", "always")
    file = tmp_path / {"m": "m/a.yaml", "m/*.yaml": "m/a.yaml", "later/deep": "later/deep/a.yaml"}.get(
        source, "one.yaml"
    )
    if "later" not in source:
        _write(file, "first")
    inputs, server = Inputs(), Server()
    graph = inputs.graph(settings, crawls=True)
    config = SimpleNamespace(config_file_path=None, theme=SimpleNamespace(custom_dir=None))
    inputs.follow(server, config)  # type: ignore[arg-type]
    assert server.events() == 0
    assert inputs.graph(settings, crawls=True) is graph, "nothing has changed"
    if "later" in source:
        file.parent.parent.mkdir()
        assert server.events() == 0
        file.parent.mkdir()
        assert server.events() == 0
    _write(file, "other")
    os.utime(file, (1, 1))
    assert server.events() == 1
    assert server.events() == 0, "one rebuild for each change"
    assert _names(inputs.graph(settings, crawls=True)) == ["always", "other"]
    assert server.events() == 0, "our own crawl is no change"
    file.unlink()
    assert server.events() == 1
    inputs.close()


def test_a_rebuild_follows_the_store_and_the_settings(tmp_path: Path) -> None:
    block: dict[str, object] = {"store": "s.sqlite", "sources": [{"pds": "https://pds.example"}]}
    settings = read_settings(block, tmp_path)
    fill(settings.store, datasets=1)
    inputs, server = Inputs(), Server()
    inputs.graph(settings, crawls=False)
    (tmp_path / "base.yml").write_text("site_name: T\n")
    (tmp_path / "mkdocs.yml").write_text("INHERIT: base.yml\n")
    (tmp_path / "ov").mkdir()
    theme = SimpleNamespace(custom_dir=str(tmp_path / "ov"))
    config = SimpleNamespace(config_file_path=str(tmp_path / "mkdocs.yml"), theme=theme)
    inputs.follow(server, config)  # type: ignore[arg-type]
    assert {str(tmp_path / "ov"), str(tmp_path / "base.yml")} <= set(server.watched)
    fill(settings.store, datasets=3)
    assert server.events() == 1
    assert len(inputs.graph(settings, crawls=False).datasets) == 3
    assert server.events() == 0
    denied = replace(settings, deny=(DID,))
    assert inputs.graph(denied, crawls=False).datasets == ()
    inputs.close()


def test_pages_of_records_are_written_on_request_as_in_a_build(tmp_path: Path) -> None:
    fill(tmp_path / "store.sqlite")
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text(MKDOCS % "true")
    sites = {}
    for command in ("build", "serve"):
        config = load_config(str(tmp_path / "mkdocs.yml"), site_dir=str(tmp_path / command))
        config.plugins.on_startup(command=command, dirty=False)
        build(config)
        if command == "build":
            config.plugins.on_shutdown()
        sites[command] = {file.relative_to(tmp_path / command) for file in (tmp_path / command).rglob("*")}
    page = next(file for file in sites["build"] - sites["serve"] if file.match("datasets/did*/*/index.html"))
    server = Server()
    config.plugins.on_serve(server, config=config, builder=build)  # type: ignore[arg-type]
    for asked in (page.with_name("index.json"), page):
        environ = {"PATH_INFO": f"/catalog/{asked.as_posix()}"}
        assert server.app(environ, None) == [b"app"]
        assert (tmp_path / "serve" / asked).read_bytes() == (tmp_path / "build" / asked).read_bytes()
    assert server.app({"PATH_INFO": "/catalog/datasets/none"}, None) == [b"app"]
    config.plugins.on_pre_build(config=config)
    assert server.app({"PATH_INFO": "/catalog/"}, None) == [b"app"]
    config.plugins.on_shutdown()
