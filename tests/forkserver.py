"""The process of ``tests/forked.py``: it imports modules once, then forks a process for each command it is sent.

Its arguments are the number of a listening Unix socket, a folder for compiled templates, and the modules. It serves
until its standard input is closed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
import types
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve requests; a forked process returns from here too, after its command."""
    number, folder, *modules = sys.argv[1:]
    for name in modules:
        importlib.import_module(name)
    if "jinja2" in sys.modules:
        _keep_compiled_templates(folder)
    gc.collect()
    gc.freeze()
    requests = socket.socket(fileno=int(number))
    supervisors = 0
    while requests in select.select([requests, sys.stdin], [], [])[0]:
        connection, _ = requests.accept()
        if os.fork() == 0:
            requests.close()
            _supervise(connection)
            return
        connection.close()
        supervisors += 1
        while supervisors and os.waitpid(-1, os.WNOHANG)[0]:
            supervisors -= 1
    for _ in range(supervisors):
        os.wait()


def _keep_compiled_templates(folder: str) -> None:
    """Share compiled templates among the processes; environments with different options don't share them."""
    import jinja2

    original = jinja2.Environment.__init__

    def initialise(self: jinja2.Environment, **options: object) -> None:
        original(self, **options)  # type: ignore[arg-type]
        if self.bytecode_cache is None and isinstance(self.autoescape, bool):
            compiled_by = f"{sorted(self.extensions)} {self.autoescape} {self.trim_blocks} {self.lstrip_blocks}"
            self.bytecode_cache = jinja2.FileSystemBytecodeCache(folder, f"%s {compiled_by}")

    jinja2.Environment.__init__ = initialise  # type: ignore[assignment, method-assign]


def _supervise(connection: socket.socket) -> None:
    """Report the process id and the exit status of the command; return in the process of the command."""
    size, standard, _, _ = socket.recv_fds(connection, 8, 3)
    request = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    process = os.fork()
    if process == 0:
        connection.close()
        _become(request, standard)
        return
    for file in standard:
        os.close(file)
    connection.sendall(b"%d\n" % process)
    _, status = os.waitpid(process, 0)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(request: dict[str, Any], standard: list[int]) -> None:
    """Run a command in this process: ``-m module``, ``-c program`` or a script, with their arguments."""
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", errors=sys.stdout.errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    kind, *arguments = request["arguments"]
    if kind == "-m":
        sys.argv, sys.path[0] = arguments, request["cwd"]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv, sys.path[0] = ["-c", *arguments[1:]], ""
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        exec(compile(arguments[0], "<string>", "exec"), module.__dict__)  # noqa: S102 - as `python -c` does
    else:
        sys.argv, sys.path[0] = [kind, *arguments], str(Path(kind).resolve().parent)
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    main()
