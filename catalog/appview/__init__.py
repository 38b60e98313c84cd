"""The AppView: live search and XRPC queries over HTTP.

One process follows the sources and writes the store and the index (tantivy, a folder); any number of processes read
both. Readers keep no state of their own, so they can be started and stopped at any time.
"""

from __future__ import annotations

from catalog.errors import require_extra

for _module in ("orjson", "starlette", "tantivy", "uvicorn"):
    require_extra("appview", _module, purpose="the AppView")
