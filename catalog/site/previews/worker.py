"""The worker process that renders previews, and both ends of its pipe.

A hostile sample can only crash or stall the worker: its memory is limited, and it is killed after a timeout. The next
preview starts a new process. Its environment contains only variables that Python needs, so no secrets.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from threading import Lock, Timer
from typing import IO, TYPE_CHECKING, Final, Self

from catalog.errors import DataError
from catalog.schema import SampleType
from catalog.schema.json_schema import read_body, write_body
from catalog.site.previews.model import Preview

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.site.previews.render import FieldHint

PAINT_SECONDS: Final = 20.0
"""Timeout for one dataset; most take about ten milliseconds."""
MAX_MEMORY: Final = 3 << 30
"""Bytes of address space, a large part of it for libraries."""
MAX_PREVIEW: Final = 40_000_000

_LENGTH: Final = struct.Struct(">I")
_ANSWER: Final = struct.Struct(">BI")
_KEPT: Final = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "LD_LIBRARY_PATH", "LANG")
"""Environment variables for the worker; others may be secrets."""


class Painter:
    """A worker process, started on first use. Thread-safe; one preview at a time."""

    def __init__(self, *, seconds: float = PAINT_SECONDS) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._end()

    def paint(
        self,
        hints: Sequence[FieldHint],
        samples: Sequence[tuple[str, bytes]],
        *,
        shown: int,
        wanted: SampleType | None = None,
        compare: int | None = None,
    ) -> Preview:
        """Render as :func:`catalog.site.previews.render.paint`.

        Raises :class:`DataError`, also if the worker crashes or takes too long, and
        :class:`~catalog.errors.InvalidData` for an invalid response.
        """
        fields = [{"name": hint.name, "form": hint.form, "dimensions": hint.dimensions} for hint in hints]
        schema = None if wanted is None else [wanted.name, wanted.version, write_body(wanted)]
        head = json.dumps({
            "fields": fields, "shown": shown, "samples": [[key, len(raw)] for key, raw in samples],
            "schema": schema, "compare": compare,
        }).encode()  # fmt: skip
        with self._lock:
            status, answer = self._asked(b"".join((_LENGTH.pack(len(head)), head, *(raw for _, raw in samples))))
        if status != 0:
            raise DataError(answer.decode("utf-8", "replace")[:200] or "the samples can't be shown")
        return Preview.load(answer)

    def _asked(self, question: bytes) -> tuple[int, bytes]:
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        assert process.stdout is not None  # noqa: S101
        timer = Timer(self._seconds, process.kill)
        timer.start()
        try:
            process.stdin.write(question)
            process.stdin.flush()
            status, length = _ANSWER.unpack(_exactly(process.stdout, _ANSWER.size))
            return status, _exactly(process.stdout, min(length, MAX_PREVIEW))
        except (OSError, EOFError):
            self._end()
            raise DataError("its samples can't be shown: decoding them failed, or took too long") from None
        except BaseException:  # between question and answer: the next one would get this answer
            self._end()
            raise
        finally:
            timer.cancel()
            timer.join()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-P", "-m", "catalog.site.previews.worker"]
            environment = _environment(os.environ)
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:  # buffered data for a process that has ended
                        continue


def _environment(outside: Mapping[str, str]) -> dict[str, str]:
    kept = {name: outside[name] for name in _KEPT if name in outside}
    # One thread for its arithmetic: they are small arrays, and each thread of that library takes memory at once.
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OPENBLAS_NUM_THREADS": "1"}


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    found = pipe.read(count)
    if len(found) != count:
        raise EOFError
    return found


def main() -> None:
    """Answer requests until the pipe is closed."""
    from catalog.errors import CatalogError
    from catalog.site.previews.render import FieldHint, paint

    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    _limit_memory()
    while head := questions.read(_LENGTH.size):
        asked = json.loads(_exactly(questions, _LENGTH.unpack(head)[0]))
        samples = [(key, _exactly(questions, size)) for key, size in asked["samples"]]
        hints = [
            FieldHint(name=hint["name"], form=hint["form"], dimensions=tuple(hint["dimensions"]))
            for hint in asked["fields"]
        ]
        try:
            wanted = None if asked["schema"] is None else _schema(*asked["schema"])
            preview = paint(hints, samples, shown=asked["shown"], wanted=wanted, compare=asked["compare"])
            status, answer = 0, preview.dump()
        except CatalogError as error:
            status, answer = 1, error.what.encode("utf-8", "replace")
        except Exception as error:  # noqa: BLE001 - a bug of ours costs only this preview
            status, answer = 1, f"its samples can't be shown ({type(error).__name__})".encode()
        answers.write(_ANSWER.pack(status, len(answer)) + answer)
        answers.flush()


def _schema(name: str, version: str, body: Json) -> SampleType:
    return SampleType(name=name, version=version, fields=read_body(body))


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):  # not on this system; the timeout remains
        return


if __name__ == "__main__":
    main()
