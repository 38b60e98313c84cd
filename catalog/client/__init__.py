"""For programs: publishing from code, finding what others published, and schemas wherever they are.

::

    with Client.login("alice.example.org") as client:        anonymous: Client()
        Digit.publish_to_atproto(client, license="MIT")      schemas, datasets, lenses
        for found in client.datasets("alice.example.org", tag="vision"):
            dataset = Dataset.from_atproto(found.uri, client=client)

Publishing goes the manifests' way: what is called makes drafts (``drafting``), and :mod:`catalog.publish` does the
rest, so that the same dataset said in YAML and in code is the same record. Finding is in ``discovery`` (where to look)
and ``wanted`` (what is looked for), searching by words in ``searching`` (``matching``: words without an index;
``hosted`` and ``columns``: a site's published files; ``appview``); ``lookup`` finds the schemas that a user names on a
command line.
"""

from __future__ import annotations

from catalog.client.connection import Client
from catalog.client.records import Finding
from catalog.client.resolve_schemas import FoundSchema, find_schemas
from catalog.client.results import Results

__all__ = ["Client", "Finding", "FoundSchema", "Results", "find_schemas"]
