"""The Python client: publish from code, search the network, and resolve schemas.

::

    with Client.login("alice.example.org") as client:        anonymous: Client()
        Digit.publish_to_atproto(client, license="MIT")      schemas, datasets, lenses
        for found in client.datasets("alice.example.org", tag="vision"):
            dataset = Dataset.from_atproto(found.uri, client=client)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catalog.client.connection import Client
    from catalog.client.records import Finding
    from catalog.client.resolve_schemas import FoundSchema, find_schemas
    from catalog.client.results import Results

__all__ = ["Client", "Finding", "FoundSchema", "Results", "find_schemas"]

_HOMES: Final = {
    "Client": "connection", "Finding": "records", "FoundSchema": "resolve_schemas", "find_schemas": "resolve_schemas",
    "Results": "results",
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a public name on first use: searching a store needs no network client."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
