"""An arroba PDS, and a PLC directory that has its accounts only, on loopback and in memory.

Runs in an environment of its own (`make .venv-arroba/.installed`). Prints one line of JSON, {"pds": url, "plc": url,
"password": text}, and lives as long as its standard input is open. Beyond XRPC it answers
``POST /accounts {"handle": …}`` with the DID of a new account.
"""

import base64
import hashlib
import json
import logging
import os
import secrets
import socket
import sys
import threading

listening = socket.create_server(("127.0.0.1", 0))
ADDRESS = f"127.0.0.1:{listening.getsockname()[1]}"
URL = f"http://{ADDRESS}"
os.environ |= {
    "PDS_HOST": ADDRESS,
    "PLC_HOST": ADDRESS,
    "REPO_TOKEN": secrets.token_urlsafe(),
    "REPO_PASSWORD": secrets.token_urlsafe(),
}

import arroba.did  # noqa: E402 - it reads the environment when it is imported
import arroba.xrpc_identity  # noqa: E402
import arroba.xrpc_repo  # noqa: E402
import arroba.xrpc_server  # noqa: E402
import arroba.xrpc_sync  # noqa: E402 - importing registers the methods
from arroba import server, util  # noqa: E402
from arroba.repo import Repo  # noqa: E402
from arroba.storage import MemoryStorage  # noqa: E402
from flask import Flask, abort, request  # noqa: E402
from lexrpc.flask_server import init_flask  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

documents: dict[str, dict[str, object]] = {}
"""The DID document of each account."""

server.storage = MemoryStorage()
server.server._validate = False  # or it refuses records of lexicons that it doesn't know
arroba.did.resolve = lambda did, **_: documents[did]
arroba.did.resolve_handle = lambda handle, **_: next(
    (did for did, document in documents.items() if document["alsoKnownAs"] == [f"at://{handle}"]), None
)

app = Flask(__name__)
init_flask(server.server, app)


@app.post("/accounts")
def create_account() -> dict[str, str]:
    """Create an account with an empty repository."""
    handle = request.json["handle"]
    did = "did:plc:" + base64.b32encode(hashlib.sha256(handle.encode()).digest()).decode().lower()[:24]
    signing, rotation = util.new_key(), util.new_key()
    documents[did] = {
        "id": did,
        "alsoKnownAs": [f"at://{handle}"],
        "verificationMethod": [
            {
                "id": f"{did}#atproto",
                "type": "Multikey",
                "controller": did,
                "publicKeyMultibase": arroba.did.encode_did_key(signing.public_key()).removeprefix("did:key:"),
            }
        ],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": URL}],
    }
    Repo.create(server.storage, did, handle=handle, signing_key=signing, rotation_key=rotation)
    return {"did": did}


@app.post("/accounts/<did>/<change>")
def change_account(did: str, change: str) -> dict[str, str]:
    """``deactivate``, ``activate`` or ``tombstone`` an account."""
    getattr(server.storage, f"{change}_repo")(server.storage.load_repo(did))
    return {}


@app.get("/did:plc:<suffix>")
def document(suffix: str) -> dict[str, object]:
    """The DID document of an account, as a PLC directory answers it."""
    return documents.get(f"did:plc:{suffix}") or abort(404, "DID not registered")


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = make_server("127.0.0.1", 0, app, threaded=True, fd=listening.fileno())
    threading.Thread(target=running.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({"pds": URL, "plc": URL, "password": os.environ["REPO_PASSWORD"]}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
