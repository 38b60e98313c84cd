"""Processes of Python that start fast: forked from one that has imported the slow modules already.

``run`` is ``subprocess.run`` for commands of this Python. A process has its own environment, folder and files and ends
as any other; but it has the hash seed of all others, and finds the modules of ``preload`` imported.
"""

from __future__ import annotations

import atexit
import json
import locale
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["COMMAND", "run", "write_command"]

COMMAND: Final = (
    "catalog.cli",
    "catalog.client",
    "catalog.crawl",
    "catalog.manifest",
    "catalog.publish",
    "catalog.publish.apply",
    "catalog.publish.plan",
    "catalog.atproto.session",
    "catalog.network.websocket",
    "catalog.site.plugin",
    "coincurve",
    "comrak",
    "dns.resolver",
    "markdown.extensions.attr_list",
    "markdown.extensions.codehilite",
    "markdown.extensions.fenced_code",
    "markdown.extensions.tables",
    "material",
    "mkdocs.commands.build",
    "mkdocs.config.defaults",
    "nh3",
    "pygments.filters",
    "pygments.lexers.python",
    "rich.console",
    "rich.progress",
    "rich.markup",
)
"""The modules that ``catalog`` and ``mkdocs`` import sooner or later."""
_CLIENT: Final = """\
#!{python} -IS
import json, os, socket, sys
request = {{"arguments": [{script!r}, *sys.argv[1:]], "cwd": os.getcwd(), "env": dict(os.environ)}}
body = json.dumps(request).encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({path!r})
    socket.send_fds(connection, [len(body).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(body)
    code = int(connection.makefile("rb").read().split()[-1])
sys.exit(code if code >= 0 else 128 - code)
"""
_PROGRAM: Final = Path(__file__).with_name("forkserver.py")
_servers: Final[dict[tuple[str, ...], _Server]] = {}
_starting: Final = threading.Lock()


class _Server:
    """A process of ``tests/forkserver.py``; it ends with this one."""

    def __init__(self, preload: Sequence[str]) -> None:
        self.environment: Final = _at_start(os.environ)
        self._folder: Final = tempfile.TemporaryDirectory()
        self.path: Final = str(Path(self._folder.name, "socket"))
        program = _PROGRAM.read_text(encoding="utf-8")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen(64)
            number = listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, str(number), self._folder.name, *preload],
                env={**os.environ, **self.environment}, stdin=subprocess.PIPE, pass_fds=[number],
            )  # fmt: skip
        atexit.register(self._end)

    def _end(self) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def start(self, request: Mapping[str, object], files: Sequence[int]) -> IO[bytes]:
        """Return the stream that has the process id, and at the end the exit status."""
        body = json.dumps(request).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            socket.send_fds(connection, [len(body).to_bytes(8, "big")], files)
            connection.sendall(body)
            return connection.makefile("rb")


def run(
    command: Sequence[str | Path],
    *,
    preload: Sequence[str] = COMMAND,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | None = None,
    timeout: float | None = None,
    check: bool = False,
    text: bool = True,
    capture_output: bool = True,
) -> subprocess.CompletedProcess[Any]:
    """Run a command of this Python and capture what it prints.

    It is an ordinary process where forking is unsafe, or where a variable differs that Python reads when it starts.
    """
    arguments = [str(argument) for argument in command]
    environment = dict(os.environ if env is None else env)
    assert arguments[0] == sys.executable
    assert capture_output
    server = _server(tuple(preload))
    if server is None or server.environment != _at_start(environment):
        return subprocess.run(
            arguments, cwd=cwd, env=environment, stdin=stdin, timeout=timeout, check=check, text=text,
            capture_output=True,
        )  # fmt: skip
    request = {"arguments": arguments[1:], "cwd": os.path.abspath(cwd or "."), "env": environment}  # noqa: PTH100
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, Path(os.devnull).open("rb") as nothing:
        files = [nothing.fileno() if stdin == subprocess.DEVNULL else 0, output.fileno(), errors.fileno()]
        code = _wait(server.start(request, files), arguments, timeout)
        ran = subprocess.CompletedProcess(arguments, code, _read(output, text=text), _read(errors, text=text))
    if check:
        ran.check_returncode()
    return ran


def write_command(folder: Path) -> None:
    """Write an executable ``catalog`` into a folder: the command, for shells that find it there."""
    script = Path(sys.executable).with_name("catalog")
    command, server = folder / "catalog", _server(COMMAND)
    if server is None:
        command.symlink_to(script)
    else:
        text = _CLIENT.format(python=sys.executable, script=str(script), path=server.path)
        command.write_text(text, encoding="utf-8")
        command.chmod(0o755)


def _server(preload: tuple[str, ...]) -> _Server | None:
    if not sys.platform.startswith("linux"):
        return None
    with _starting:
        if preload not in _servers:
            _servers[preload] = _Server(preload)
        return _servers[preload]


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that only a starting process reads; this tree is on the path of all of them."""
    return {
        name: value
        for name, value in {**environment, "PYTHONPATH": environment.get("PYTHONPATH") or str(ROOT)}.items()
        if name.startswith(("PYTHON", "LC_", "LD_", "OMP_")) or name in {"LANG", "LANGUAGE", "TZ"}
    }


def _wait(report: IO[bytes], command: list[str], timeout: float | None) -> int:
    with report:
        process = int(report.readline())
        late = threading.Event()

        def end() -> None:
            late.set()
            os.kill(process, signal.SIGKILL)

        timer = threading.Timer(timeout or threading.TIMEOUT_MAX, end)
        timer.start()
        try:
            code = int(report.readline())
        finally:
            timer.cancel()
    if late.is_set():
        assert timeout is not None
        raise subprocess.TimeoutExpired(command, timeout)
    return code


def _read(file: IO[bytes], *, text: bool) -> str | bytes:
    file.seek(0)
    raw = file.read()
    return raw.decode(locale.getencoding()).replace("\r\n", "\n").replace("\r", "\n") if text else raw
