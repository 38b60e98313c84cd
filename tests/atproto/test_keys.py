"""Keys and signatures: the protocol's vectors, and everything that only looks like them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import keys
from catalog.atproto.keys import Curve, PublicKey
from catalog.errors import InvalidSyntax
from tests.paths import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = TESTS / "data" / "interop" / "crypto"
ORDERS = {  # SEC 2, version 2: sections 2.4.1 and 2.4.2
    Curve.K256: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    Curve.P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
SUITES = {
    "EcdsaSecp256k1VerificationKey2019": Curve.K256,
    "EcdsaSecp256r1VerificationKey2019": Curve.P256,
}
K256 = ec.derive_private_key(int.from_bytes(b"\x07" * 32), ec.SECP256K1())
P256 = ec.derive_private_key(7**80, ec.SECP256R1())
MESSAGE = b"a message"
COINCURVE = vars(keys)["coincurve"]
LIBRARIES = {"cryptography": None} | ({} if COINCURVE is None else {"coincurve": COINCURVE})


@pytest.fixture(autouse=True, scope="module", params=LIBRARIES)
def _library(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs with each library that is installed for secp256k1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "coincurve", LIBRARIES[request.param])
        yield


def test_the_optional_library_is_used_where_it_is_installed() -> None:
    native = _key(Curve.K256)._native
    assert isinstance(native, ec.EllipticCurvePublicKey) is (vars(keys)["coincurve"] is None)


def _vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    assert found
    return found


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _points(curve: Curve) -> tuple[bytes, bytes]:
    """The public key of our two private ones: compressed, and not."""
    public = (K256 if curve is Curve.K256 else P256).public_key()
    return (
        public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    )


def _text(curve: Curve, point: bytes) -> str:
    return "z" + keys._base58({Curve.K256: b"\xe7\x01", Curve.P256: b"\x80\x24"}[curve] + point)


def _key(curve: Curve) -> PublicKey:
    return PublicKey.parse(_text(curve, _points(curve)[0]))


def _signed(curve: Curve, message: bytes = MESSAGE) -> tuple[int, int]:
    """r and the lower s."""
    der = (K256 if curve is Curve.K256 else P256).sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r, min(s, ORDERS[curve] - s)


def _compact(r: int, s: int) -> bytes:
    return r.to_bytes(32) + s.to_bytes(32)


def test_the_signature_vectors_hold() -> None:
    """Good ones of both curves pass; high S and DER don't; both spellings of a key are one key."""
    seen: set[tuple[bool, str]] = set()
    for vector in _vectors("signature-fixtures.json"):
        key = PublicKey.parse(vector["publicKeyDid"])
        assert key == PublicKey.parse_bare(vector["publicKeyMultibase"], SUITES[vector["didDocSuite"]])
        signature, message = _unpadded(vector["signatureBase64"]), _unpadded(vector["messageBase64"])
        assert key.verifies(signature, message) is vector["validSignature"], vector["comment"]
        seen |= {(vector["validSignature"], tag) for tag in vector["tags"] or [""]}
    assert seen >= {(True, ""), (False, "high-s"), (False, "der-encoded")}


def test_the_did_key_vectors_of_secp256k1_hold() -> None:
    """The public key of a private one is the one that is written there, both ways."""
    for vector in _vectors("w3c_didkey_K256.json"):
        private = ec.derive_private_key(int(vector["privateKeyBytesHex"], 16), ec.SECP256K1())
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        key = PublicKey.parse(vector["publicDidKey"])
        assert (key.curve, key.point) == (Curve.K256, point)
        assert str(key) == vector["publicDidKey"]


def test_the_did_key_vectors_of_p256_hold() -> None:
    """The same on the other curve."""
    for vector in _vectors("w3c_didkey_P256.json"):
        scalar = int.from_bytes(keys._unbase58("z" + vector["privateKeyBytesBase58"]))
        point = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
        key = PublicKey.parse(vector["publicDidKey"])
        assert (key.curve, key.point) == (Curve.P256, point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint))
        assert str(key) == vector["publicDidKey"]


@pytest.mark.parametrize("curve", list(Curve))
def test_a_key_has_one_text_whatever_it_was_read_from(curve: Curve) -> None:
    """A did:key, a Multikey, and the older forms with the point compressed or not."""
    compressed, uncompressed = _points(curve)
    key = _key(curve)
    bare = [PublicKey.parse_bare("z" + keys._base58(point), curve) for point in (compressed, uncompressed)]
    assert [key, key] == bare
    assert PublicKey.parse(str(key)) == key
    assert {key, *bare} == {key}
    r, s = _signed(curve)
    assert all(each.verifies(_compact(r, s), MESSAGE) for each in (key, *bare))


@pytest.mark.parametrize("curve", list(Curve))
def test_only_the_one_signature_of_the_message_passes(curve: Curve) -> None:
    """Not the high S, DER, another length, zero, a number that is one order larger, or another message or key."""
    order = ORDERS[curve]
    key, (r, s) = _key(curve), _signed(curve)
    good = _compact(r, s)
    assert key.verifies(good, MESSAGE)
    assert not key.verifies(_compact(r, order - s), MESSAGE)
    padded = good[:32] + b"\0" + good[32:]  # the same two numbers
    for bad in (b"", good[:-1], good + b"\0", b"\0" + good, padded, good[32:] + good[:32], bytes(64), b"\xff" * 64):
        assert not key.verifies(bad, MESSAGE)
    for pair in ((0, s), (r, 0), (order, s), (r, order), (1, 1), (order - 1, order >> 1)):
        assert not key.verifies(_compact(*pair), MESSAGE)
    assert not key.verifies(good, MESSAGE + b"\0")
    assert not key.verifies(good, b"")
    assert not _key(Curve.P256 if curve is Curve.K256 else Curve.K256).verifies(good, MESSAGE)


@pytest.mark.parametrize("curve", list(Curve))
def test_every_flipped_bit_breaks_a_signature(curve: Curve) -> None:
    """All 512 of them."""
    key, good = _key(curve), _compact(*_signed(curve))
    assert key.verifies(good, MESSAGE)
    for bit in range(512):
        flipped = (int.from_bytes(good) ^ 1 << bit).to_bytes(64)
        assert not key.verifies(flipped, MESSAGE)


def test_numbers_with_leading_zeros_keep_their_32_bytes() -> None:
    """A number of a signature may start with a zero byte: it is as good as the others."""
    key = _key(Curve.K256)
    found = 0
    for number in range(2000):
        message = number.to_bytes(2)
        r, s = _signed(Curve.K256, message)
        if r < 1 << 248 or s < 1 << 248:
            found += 1
            assert key.verifies(_compact(r, s), message)
    assert found > 3


_K_POINT, _K_LONG = _points(Curve.K256)
_P_POINT, _P_LONG = _points(Curve.P256)


@pytest.mark.parametrize(
    "text",
    [
        "", "z", "z1", "z111", "did:key:", "did:key:z", "did:key:did:key:zQ3", "did:plc:" + "a" * 24,
        "Q3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",  # no multibase letter
        "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBm0", "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBm\n",
        " zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBm",
        "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",  # Ed25519
        "z" + "1" * 1_000_000, "z" + "z" * 1_000_000, "did:key:z" + "Q" * 93,
        "z1" + _text(Curve.K256, _K_POINT)[1:],
        _text(Curve.K256, _K_LONG), _text(Curve.P256, _P_LONG),  # a did:key is compressed
        _text(Curve.K256, _K_POINT + b"\0"), _text(Curve.K256, _K_POINT[:-1]),
        _text(Curve.K256, b"\x04" + _K_POINT[1:]), _text(Curve.K256, b"\0" * 33),
        _text(Curve.K256, b"\x02" + b"\xff" * 32), _text(Curve.P256, b"\x02" + b"\xff" * 32),
        _text(Curve.K256, b"\x02" + bytes(31) + b"\x05"),  # no point has x = 5
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    """By its letters, its kind, its length, or because it is not on the curve; however long it is, at once."""
    with pytest.raises(InvalidSyntax):
        PublicKey.parse(text)


def test_a_text_too_long_for_a_key_is_not_even_read() -> None:
    """A million characters of base58 would take minutes; the reason is the length, not what they say."""
    for text in ("z" * 101, "z" + "1" * 100, "z" * 1_000_000, "did:key:z" + "0" * 1_000_000):
        with pytest.raises(InvalidSyntax) as caught:
            PublicKey.parse(text)
        assert caught.value.what == "not a key"


@pytest.mark.parametrize(
    "raw",
    [b"", _K_POINT[:-1], _K_LONG[:-1], b"\x06" + _K_LONG[1:], b"\x07" + _K_LONG[1:], b"\x04" + _K_POINT[1:],
     b"\x02" + _K_LONG[1:], _K_LONG[:-1] + bytes([_K_LONG[-1] ^ 1]), b"\0", bytes(65)],
)  # fmt: skip
@pytest.mark.parametrize("curve", list(Curve))
def test_a_bare_point_has_one_of_two_forms(raw: bytes, curve: Curve) -> None:
    """Compressed or not, never hybrid, and on its curve."""
    text = "z" + "1" * (len(raw) - len(raw.lstrip(b"\0"))) + keys._base58(raw)
    with pytest.raises(InvalidSyntax):
        PublicKey.parse_bare(text, curve)


def test_a_point_of_one_curve_is_none_of_the_other() -> None:
    """Whole points, as compressed ones are on the other curve in half of all cases."""
    for raw, curve in ((_K_LONG, Curve.P256), (_P_LONG, Curve.K256)):
        with pytest.raises(InvalidSyntax, match="no point"):
            PublicKey.parse_bare("z" + keys._base58(raw), curve)


@given(st.text(max_size=120) | st.text(keys._ALPHABET, max_size=100).map(lambda text: f"did:key:z{text}"))
def test_any_text_is_a_key_or_invalid_syntax(text: str) -> None:
    """And a key that is one reads back from its own text."""
    try:
        key = PublicKey.parse(text)
    except InvalidSyntax:
        return
    assert PublicKey.parse(str(key)) == key


@given(st.binary(max_size=40))
def test_base58_is_undone_by_itself(raw: bytes) -> None:
    """Zeros in front are ones in the text."""
    bare = raw.lstrip(b"\0")
    assert keys._unbase58("z" + "1" * (len(raw) - len(bare)) + keys._base58(bare)) == raw


@given(st.sampled_from(list(Curve)), st.binary(max_size=70) | st.binary(min_size=64, max_size=64), st.binary())
def test_any_bytes_as_a_signature_are_just_wrong(curve: Curve, signature: bytes, message: bytes) -> None:
    """No exception, and no key says yes."""
    assert _key(curve).verifies(signature, message) is False
