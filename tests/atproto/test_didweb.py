"""An account whose DID is a host's own (did:web), on a real PDS: it logs in, publishes, and its records are proven."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from catalog.atproto.credentials import open_session
from catalog.atproto.identity import Resolver
from catalog.config import NetworkSettings
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish import Applied, apply_plan, make_plan
from catalog.publish.verify import Verifier
from tests.fakes import answer, fake_server
from tests.repos import SigningKey
from tests.secrecy import PASSWORDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Network

pytestmark = pytest.mark.publishing

MANIFEST = """\
schemas: [{name: A, version: 1.0.0, fields: {a: int}}]
datasets:
  - {name: web, schema: A@1.0.0, version: 1.0.0, shards: [{url: "https://data.example/a.tar"}]}
"""


def test_an_account_of_a_host_publishes_and_is_proven(network: Network, tmp_path: Path) -> None:
    """Its document names server and key; the server got the account as accounts move: with a word its owner signed."""
    key, password = SigningKey(), "a word of did:web"
    PASSWORDS.add(password)
    with fake_server({}) as host:
        did = f"did:web:localhost%3A{host.url.rpartition(':')[2]}"
        document = _document(did, network.pds_url, key.multibase)
        host.routes["/.well-known/did.json"] = lambda handler, _: answer(handler, document)
        server = network.get("com.atproto.server.describeServer", {})["did"]
        created = _post(
            network,
            "com.atproto.server.createAccount",
            {"did": did, "handle": "ofahost.test", "email": "host@example.org", "password": password},
            _word(key, did, server),
        )
        wanted = _get(network, "com.atproto.identity.getRecommendedDidCredentials", created["accessJwt"])
        document["verificationMethod"][0]["publicKeyMultibase"] = wanted["verificationMethods"]["atproto"].removeprefix(
            "did:key:"
        )
        _post(network, "com.atproto.server.activateAccount", None, created["accessJwt"])

        manifest = tmp_path / "m.yaml"
        manifest.write_text(MANIFEST, encoding="utf-8")
        settings = NetworkSettings.from_environment()
        with Client(settings) as client:
            session = open_session(client, Resolver(client, settings), did, ask=lambda: password)
            assert (str(session.did), session.pds) == (did, network.pds_url)
            plan = make_plan(load([manifest]), session, set_name="default")
            assert apply_plan(plan, session) == Applied(commits=1, blobs=0)
            assert make_plan(load([manifest]), session, set_name="default").writes == ()
            checks = list(Verifier(client=client, settings=settings).verify(plan.changes[0].uri))
        assert {check.what for check in checks if str(check.state) == "passed"} >= {"identity", "proof", "lexicon"}, (
            checks
        )


def _document(did: str, pds: str, multibase: str) -> dict[str, Any]:
    return {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": did,
        "alsoKnownAs": ["at://ofahost.test"],
        "verificationMethod": [
            {"id": f"{did}#atproto", "type": "Multikey", "controller": did, "publicKeyMultibase": multibase}
        ],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds}],
    }


def _word(key: SigningKey, did: str, server: str) -> str:
    """A service token: the account asks this server, for a minute, to take it."""
    now = int(time.time())
    parts = (
        {"typ": "JWT", "alg": "ES256K"},
        {
            "iss": did,
            "aud": server,
            "lxm": "com.atproto.server.createAccount",
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(8),
        },
    )
    signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_base64(key.sign(signed.encode()))}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _post(network: Network, method: str, body: Mapping[str, object] | None, token: str) -> dict[str, str]:
    headers = {"authorization": f"Bearer {token}"}
    found = httpx.post(f"{network.pds_url}/xrpc/{method}", json=body, headers=headers, timeout=60)
    assert found.is_success, found.text
    answered: dict[str, str] = found.json() if found.content else {}
    return answered


def _get(network: Network, method: str, token: str) -> dict[str, dict[str, str]]:
    found = httpx.get(f"{network.pds_url}/xrpc/{method}", headers={"authorization": f"Bearer {token}"}, timeout=60)
    assert found.is_success, found.text
    answered: dict[str, dict[str, str]] = found.json()
    return answered
