"""The Python client: publish from code, search the network, and resolve schemas.

::

    with Client.login("alice.example.org") as client:        anonymous: Client()
        Digit.publish_to_atproto(client, license="MIT")      schemas, datasets, lenses
        for found in client.datasets("alice.example.org", tag="vision"):
            dataset = Dataset.from_atproto(found.uri, client=client)

Publishing from code creates drafts like a manifest, and :mod:`catalog.publish` publishes them, so that a dataset in
YAML and in code is the same record. ``discovery`` lists records of a place and ``filters`` selects them. ``search`` is
full-text search (``site_client``: the files of a hosted site; ``appview``: an AppView). ``resolve_schemas`` resolves
the schemas that a user names on the command line.
"""

from __future__ import annotations

from catalog.client.connection import Client
from catalog.client.records import Finding
from catalog.client.resolve_schemas import FoundSchema, find_schemas
from catalog.client.results import Results

__all__ = ["Client", "Finding", "FoundSchema", "Results", "find_schemas"]
