"""Checksums of shards as records and callers write them: ``sha256:<hex>``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from catalog.errors import ChecksumMismatch
from catalog.shards.magic import A_TAR, HEAD, UNKNOWN, describe

if TYPE_CHECKING:
    from hashlib import _Hash
    from io import FileIO

ALGORITHMS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
"""The known algorithms, and the hex digits of their digests."""
_WEAK: Final = frozenset({"md5", "sha1"})
_HEX: Final = re.compile(r"[0-9a-f]+")


def changed(head: bytes) -> str:
    """Return what is known of a file with another digest, by its first bytes: ``it is a web page (HTML), …``."""
    what = describe(head)
    return "it was changed or damaged" if what in (A_TAR, UNKNOWN) else f"it is {what}"


@dataclass(frozen=True, slots=True)
class ExpectedDigest:
    """The digest that the bytes of a shard must have: an algorithm as hashlib spells it, and lower-case hex."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> ExpectedDigest:
        """Return the algorithm and digest of ``sha256:<hex>`` or ``SHA-256:<hex>``; nothing is checked."""
        algorithm, _, digest = text.partition(":")
        return cls(algorithm.lower().replace("sha-", "sha"), digest.lower())

    @property
    def known(self) -> bool:
        """True if the algorithm is one of ``ALGORITHMS``."""
        return self.algorithm in ALGORITHMS

    @property
    def valid(self) -> bool:
        """True if bytes can have this digest: a known algorithm, and as many hex digits as it gives."""
        return ALGORITHMS.get(self.algorithm) == len(self.digest) and _HEX.fullmatch(self.digest) is not None

    @property
    def strong(self) -> bool:
        """True if the digest is valid and shows deliberate changes, too."""
        return self.valid and self.algorithm not in _WEAK

    def new_hash(self) -> _Hash:
        """Return a new hash object of the algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def check(self, found: str, where: str, file: BinaryIO | FileIO) -> None:
        """Raise :class:`ChecksumMismatch` if the digest found is another one. ``file`` has the bytes."""
        if found != self.digest:
            what = f"{self.algorithm} is {found}, the record promises {self.digest}"
            file.seek(0)
            raise ChecksumMismatch(what, where=where, hint=f"{changed(file.read(HEAD))}; ask its publisher")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"
