"""The Python client: publish from code, search the network, and resolve schemas.

::

    with Client.login("alice.example.org") as client:        anonymous: Client()
        Digit.publish_to_atproto(client, license="MIT")      schemas, datasets, lenses
        for found in client.datasets("alice.example.org", tag="vision"):
            dataset = Dataset.from_atproto(found.uri, client=client)
"""

from __future__ import annotations

from catalog.client.connection import Client
from catalog.client.records import Finding
from catalog.client.resolve_schemas import FoundSchema, find_schemas
from catalog.client.results import Results

__all__ = ["Client", "Finding", "FoundSchema", "Results", "find_schemas"]
