"""The five record kinds of ``science.alt.dataset.*`` as typed values: read tolerantly, written strictly.

::

    Schema ◀── Dataset ◀── Label            Dataset.schema_ref, Label.dataset
      ▲▲
      └┴──── Lens ◀── LensVerification      Lens.source, Lens.target, LensVerification.lens

Reading forgives what existing clients are known to write against their own lexicon (the list is
``reading._forgive``); everything else that breaks the lexicon is refused with all its faults. Writing forgives nothing.

Tricky bits
-----------
- ``entry.metadata`` is msgpack inside bytes, because the data model has no floats.
- A checksum ``{"algorithm": "none", "digest": ""}`` means there is none.
- ``language`` stands on the code reference, or (deprecated) on the lens.
"""

from __future__ import annotations

from catalog.records.kinds import (
    COLLECTIONS,
    DATASET,
    KINDS,
    LABEL,
    LENS,
    SCHEMA,
    VERIFICATION,
    BlobShard,
    BlobStorage,
    Checksum,
    CodeReference,
    Dataset,
    ExternalStorage,
    HttpShard,
    HttpStorage,
    Label,
    Lens,
    LensVerification,
    Record,
    S3Shard,
    S3Storage,
    Schema,
    Size,
    Storage,
    UnknownStorage,
    schema_rkey,
)
from catalog.records.read import read_record
from catalog.records.write import write_record

__all__ = [
    "COLLECTIONS",
    "DATASET",
    "KINDS",
    "LABEL",
    "LENS",
    "SCHEMA",
    "VERIFICATION",
    "BlobShard",
    "BlobStorage",
    "Checksum",
    "CodeReference",
    "Dataset",
    "ExternalStorage",
    "HttpShard",
    "HttpStorage",
    "Label",
    "Lens",
    "LensVerification",
    "Record",
    "S3Shard",
    "S3Storage",
    "Schema",
    "Size",
    "Storage",
    "UnknownStorage",
    "read_record",
    "schema_rkey",
    "write_record",
]
