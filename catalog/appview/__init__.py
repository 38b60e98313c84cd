"""The AppView: the network's datasets by search and query, live.

::

    store ──changes──▶ indexer ──commits──▶ index (tantivy, a directory)
      │                                       │
      └──────────── queries ◀─────────────────┘

One process follows the sources and writes; any number of processes on the machine read the same store and the same
index. They keep nothing of their own that couldn't be read anew, so that they may come and go.
"""

from __future__ import annotations

from catalog.errors import require_extra

for _module in ("orjson", "starlette", "tantivy", "uvicorn"):
    require_extra("appview", _module, purpose="the AppView")
