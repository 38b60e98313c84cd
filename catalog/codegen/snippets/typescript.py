"""The TypeScript snippet: Node's own ``fetch``, ``tar-stream`` and ``@msgpack/msgpack``.

The interface and its decoder come from the generator with a separate template: a snippet has no encoder, and a shorter
reader of arrays. Shards whose names end with ``.gz`` are decompressed, all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from catalog.codegen.snippets.snippet import Snippet, listed
from catalog.codegen.templates import rendered
from catalog.codegen.typescript import type_name, typescript_module
from catalog.config import resources
from catalog.shards.formats.msgpack import SUFFIX

if TYPE_CHECKING:
    from catalog.schema import SampleType

_INSTALL: Final = "npm install tsx @types/node @types/tar-stream @msgpack/msgpack tar-stream"

_IMPORTS: Final = """\
// Save as load.mts, then: npx tsx load.mts
import { pipeline, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";

import { decode } from "@msgpack/msgpack";
import { extract } from "tar-stream";

"""

_OPENED: Final = """\
  for (const url of urls) {
    const answer = await fetch(url);
    if (!answer.ok || answer.body === null) {
      throw new Error(`${url}: status ${answer.status}`);
    }
    const tar = extract();
    pipeline(Readable.from(answer.body), UNPACKED() => {}); // the loop throws its errors
    for await (const entry of tar) {
      const bytes = await buffer(entry);
      if (entry.header.name.endsWith("SUFFIX")) {
""".replace("SUFFIX", SUFFIX)
_PLAIN, _GZIP = (_OPENED.replace("UNPACKED", steps) for steps in ("tar, ", "createGunzip(), tar, "))
_GUNZIP: Final = 'import { createGunzip } from "node:zlib";\n'
_PACKED: Final = (".gz", ".tgz")

_SHOWN: Final = """\
      }
    }
  }
}

let shown = 0;
for await (const sample of samples()) {
  console.log(sample);
  shown += 1;
  if (shown === 3) {
    break;
  }
}
"""

_USED: Final = frozenset({
    "AsyncGenerator", "InstanceType", "NdArray", "Readable", "Reader", "buffer", "createGunzip", "decode", "extract",
    "pipeline",
})  # fmt: skip
"""Types and imports of the program, whose names the interface can't have."""

_READERS: Final = "\n// --- what the fields are read with ---\n"
"""The line in the template before the functions that many schemas share."""


def typescript(lines: Sequence[str], urls: Sequence[str], sample_type: SampleType | None) -> Snippet:
    """Return a complete program for Node."""
    addresses = listed(lines, urls, mark="//", opening="const urls = [\n", indent="  ", closing="];\n\n")
    packed = any(url.partition("?")[0].lower().endswith(_PACKED) for url in urls)
    parts = (_IMPORTS, addresses, *_typed(sample_type))
    if packed:
        imports = _IMPORTS.replace("\n\nimport { decode }", f"\n{_GUNZIP}\nimport {{ decode }}")
        parts = (imports, *(_GZIP if part is _PLAIN else part for part in parts[1:]))
    return Snippet(label="TypeScript", language="typescript", parts=parts, install=_INSTALL)


@lru_cache(maxsize=512)
def _typed(sample_type: SampleType | None) -> tuple[str, ...]:
    folder = resources.templates() / "snippets"
    if sample_type is None:
        return rendered("untyped", templates=folder, functions={"binary"}, arrays=True), *_program("Sample")
    if type_name(sample_type.name) in _USED:
        sample_type = replace(sample_type, name=f"{sample_type.name}Type")
    text = typescript_module(sample_type, uri=None, cid=None, templates=folder)
    own, mark, readers = text.partition(_READERS)
    return own, mark + readers, *_program(type_name(sample_type.name))


def _program(name: str) -> tuple[str, ...]:
    """The program in four parts, of which two depend on the type."""
    opening = f"\nasync function* samples(): AsyncGenerator<{name}> {{\n"
    return opening, _PLAIN, f"        yield decode{name}(bytes);\n", _SHOWN
