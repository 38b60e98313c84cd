"""Public keys and the verification of signatures: https://atproto.com/specs/cryptography

::

    did:key:z │ base58( multicodec (2 bytes) │ compressed point (33) )      a did:key; without its head, a Multikey
              z │ base58( point (33 or 65) )                                the older forms: their type names the curve
    signature   r (32) │ s (32)         big-endian, of the SHA-256 of the message; s at most half the curve's order

Only the lower of the two valid values of s is accepted: otherwise anyone could derive a second signature from a
published one, and so a second commit with another hash. Signatures on secp256k1 are verified by coincurve if the extra
``[fast-signatures]`` is installed (nine times as fast), else by cryptography.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalog.errors import InvalidSyntax

try:
    import coincurve
except ImportError:
    coincurve = None  # type: ignore[assignment]


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
_GROUPS: Final = {Curve.K256: ec.SECP256K1(), Curve.P256: ec.SECP256R1()}
_ECDSA: Final = ec.ECDSA(SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key, thread-safe. ``point`` is compressed: 33 bytes. Its text is a ``did:key``."""

    curve: Curve
    point: bytes
    _native: coincurve.PublicKey | ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``did:key:z…``, or a Multikey's ``z…``. Raises :class:`~catalog.errors.InvalidSyntax`."""
        raw = _unbase58(text.removeprefix("did:key:"))
        curve = _CODECS.get(raw[:2])
        if curve is None:
            raise InvalidSyntax("a key of an unknown kind", hint="atproto signs with secp256k1 and P-256")
        if len(raw) != 35:
            raise InvalidSyntax(f"a key whose point has {len(raw) - 2} bytes, not 33")
        return cls._of_point(raw[2:], curve)

    @classmethod
    def parse_bare(cls, text: str, curve: Curve) -> Self:
        """Parse ``z…`` without a multicodec, as in verification methods whose type names the curve.

        Raises :class:`~catalog.errors.InvalidSyntax`.
        """
        return cls._of_point(_unbase58(text), curve)

    @classmethod
    def _of_point(cls, raw: bytes, curve: Curve) -> Self:
        # The libraries also accept the hybrid form (65 bytes that start with 6 or 7): a second spelling of one key.
        if (len(raw), raw[:1]) not in ((33, b"\x02"), (33, b"\x03"), (65, b"\x04")):
            raise InvalidSyntax("a key that is not a point", hint="33 bytes that start with 2 or 3, or 65 with 4")
        try:
            if curve is Curve.K256 and coincurve is not None:
                fast = coincurve.PublicKey(raw)
                return cls(curve=curve, point=fast.format(compressed=True), _native=fast)
            native = ec.EllipticCurvePublicKey.from_encoded_point(_GROUPS[curve], raw)
            point = native.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            return cls(curve=curve, point=point, _native=native)
        except ValueError:
            raise InvalidSyntax(f"a key that is no point of {curve}") from None

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether a signature (64 bytes: r and s, the lower s) of the message is valid. Raises nothing."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        order = _ORDERS[self.curve]
        if not (0 < r < order and 0 < s <= order >> 1):
            return False
        der = encode_dss_signature(r, s)  # the form that both libraries take
        if not isinstance(self._native, ec.EllipticCurvePublicKey):
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
    """Return the bytes of ``z…``: multibase, base58 in Bitcoin's alphabet."""
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
    """Return bytes, the first of which isn't zero, in base58."""
    number, letters = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, 58)
        letters = _ALPHABET[digit] + letters
    return letters
