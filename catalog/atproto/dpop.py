"""DPoP keys and proofs: a token is of use only with the key of its session. https://www.rfc-editor.org/rfc/rfc9449"""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, NoReturn

from catalog.errors import SessionError, require_extra

if TYPE_CHECKING:
    from typing import Any

    from joserfc.jwk import ECKey

_PUBLIC = ("kty", "crv", "x", "y")


class DpopKey:
    """The P-256 key of one session: a secret."""

    def __init__(self, key: ECKey | None = None) -> None:
        """Without ``key``, make a new one. Raises :class:`~catalog.errors.MissingExtra` without joserfc."""
        require_extra("login", "joserfc", purpose="a login by OAuth")
        from joserfc.jwk import ECKey

        self._key = key or ECKey.generate_key("P-256")

    @classmethod
    def of_pem(cls, text: str) -> DpopKey:
        """Read a stored key. Raises :class:`SessionError`, and :class:`~catalog.errors.MissingExtra`."""
        require_extra("login", "joserfc", purpose="a session by OAuth")
        from joserfc.errors import JoseError
        from joserfc.jwk import ECKey

        try:
            key = ECKey.import_key(text)
        except (JoseError, ValueError, TypeError):
            raise SessionError(
                "the key of the stored session can't be read", hint="run `catalog login` again"
            ) from None
        return cls(key)

    def __repr__(self) -> str:
        """Without the key."""
        return "DpopKey()"

    def __reduce__(self) -> NoReturn:
        """Keys are in no pickle."""
        raise TypeError("a key isn't pickled")

    def pem(self) -> str:
        """The key as text: a secret."""
        return self._key.as_pem(private=True).decode()

    def proof(self, method: str, url: str, *, nonce: str | None = None, token: str | None = None) -> str:
        """Return a proof for one request, with an identifier of its own; ``token`` is the access token sent with it."""
        from joserfc import jwt

        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": int(time.time()),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        if token is not None:
            claims["ath"] = digest_of(token)
        public = {name: value for name, value in self._key.as_dict(private=False).items() if name in _PUBLIC}
        return jwt.encode({"typ": "dpop+jwt", "alg": "ES256", "jwk": public}, claims, self._key, algorithms=["ES256"])


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text in base64url without padding, as DPoP and PKCE have it."""
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
