"""Public keys, and what they signed: https://atproto.com/specs/cryptography

::

    did:key:z │ base58( multicodec (2 bytes) │ compressed point (33) )      a did:key; without its head, a Multikey
              z │ base58( point (33 or 65) )                                the older forms: their type names the curve

    signature   r (32) │ s (32)         big-endian, of the SHA-256 of the message; s at most half the curve's order

Of the two values of s that fit a message, only the lower counts: else anybody could make a second signature from one
that they see, and with it a second commit of another hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

import coincurve
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalog.errors import InvalidSyntax

__all__ = ["Curve", "PublicKey"]


class Curve(StrEnum):
    """The two curves of atproto."""

    K256 = "secp256k1"
    P256 = "P-256"


SIGNATURE_BYTES: Final = 64

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_LONGEST: Final = 100
"""Characters of a key: 65 bytes are 89. Base58 takes time that grows with the square of the length."""
_CODECS: Final = {b"\xe7\x01": Curve.K256, b"\x80\x24": Curve.P256}
_HEADS: Final = {curve: head for head, curve in _CODECS.items()}
_ORDERS: Final = {
    Curve.K256: 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141,
    Curve.P256: 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551,
}
_ECDSA: Final = ec.ECDSA(SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that can verify. ``point`` is compressed: 33 bytes. As text it is a ``did:key``.

    May be used by many threads at once.
    """

    curve: Curve
    point: bytes
    _native: coincurve.PublicKey | ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """``did:key:z…``, or ``z…`` as a Multikey has it. Raises :class:`~catalog.errors.InvalidSyntax`."""
        raw = _unbase58(text.removeprefix("did:key:"))
        curve = _CODECS.get(raw[:2])
        if curve is None:
            raise InvalidSyntax("a key of an unknown kind", hint="atproto signs with secp256k1 and P-256")
        if len(raw) != 35:
            raise InvalidSyntax(f"a key whose point has {len(raw) - 2} bytes, not 33")
        return cls._of_point(raw[2:], curve)

    @classmethod
    def parse_bare(cls, text: str, curve: Curve) -> Self:
        """``z…`` without a multicodec, as in the verification methods that name the curve by their type.

        Raises :class:`~catalog.errors.InvalidSyntax`.
        """
        return cls._of_point(_unbase58(text), curve)

    @classmethod
    def _of_point(cls, raw: bytes, curve: Curve) -> Self:
        # The libraries also take the hybrid form, of 65 bytes that start with 6 or 7: a second name for one key.
        if (len(raw), raw[:1]) not in ((33, b"\x02"), (33, b"\x03"), (65, b"\x04")):
            raise InvalidSyntax("a key that is not a point", hint="33 bytes that start with 2 or 3, or 65 with 4")
        try:
            if curve is Curve.K256:
                k256 = coincurve.PublicKey(raw)
                return cls(curve=curve, point=k256.format(compressed=True), _native=k256)
            p256 = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
            point = p256.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            return cls(curve=curve, point=point, _native=p256)
        except ValueError:
            raise InvalidSyntax(f"a key that is no point of {curve}") from None

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed the message: 64 bytes, r and s, with the lower s. Raises nothing."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        order = _ORDERS[self.curve]
        if not (0 < r < order and 0 < s <= order >> 1):
            return False
        der = encode_dss_signature(r, s)  # what both libraries take
        if isinstance(self._native, coincurve.PublicKey):
            return self._native.verify(der, message)
        try:
            self._native.verify(der, message, _ECDSA)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        """The key as ``did:key:z…``."""
        return "did:key:z" + _base58(_HEADS[self.curve] + self.point)


def _unbase58(text: str) -> bytes:
    """The bytes of ``z…``: multibase, base58 in Bitcoin's alphabet."""
    if not text.startswith("z") or len(text) > _LONGEST:
        raise InvalidSyntax("not a key", hint="a key looks like did:key:zQ3sh… or zDnae…")
    number = 0
    for letter in text[1:]:
        digit = _DIGITS.get(letter)
        if digit is None:
            raise InvalidSyntax("not a key: it is not base58", hint="base58 has no 0, O, I and l")
        number = number * 58 + digit
    zeros = len(text) - 1 - len(text[1:].lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


def _base58(raw: bytes) -> str:
    """``raw``, which doesn't start with a zero, in base58."""
    number, letters = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, 58)
        letters = _ALPHABET[digit] + letters
    return letters
