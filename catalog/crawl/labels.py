"""Read the moderation labels of the settings' labelers about the accounts of the store and their records.

All labels of a labeler are replaced at once, after it has answered for all accounts: a failure takes no label back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from catalog.atproto.identity import Resolver
from catalog.atproto.labels import query_labels
from catalog.formatting import counted

if TYPE_CHECKING:
    from catalog.atproto.labels import ModerationLabel
    from catalog.config import CatalogSettings
    from catalog.crawl.report import Tally
    from catalog.network.http import Client
    from catalog.store import Store
    from catalog.syntax import Did

PREFIX: Final = "science.alt.dataset."
"""The collections whose records are asked about."""
_ACCOUNTS: Final = 20
"""Accounts of one request: two patterns each, in an address of about 3 kB."""


def read_labels(labeler: Did, settings: CatalogSettings, store: Store, client: Client, tally: Tally) -> None:
    """Replace the stored labels of a labeler. Raises a :class:`~catalog.errors.NetworkError` if it doesn't answer."""
    found = Resolver(client, settings.network).labeler(labeler)
    accounts = [repo.did for repo in store.repos() if not repo.draft]
    now = datetime.now(UTC)
    labels: list[ModerationLabel] = []
    invalid = 0
    for start in range(0, len(accounts), _ACCOUNTS):
        some = accounts[start : start + _ACCOUNTS]
        patterns = [pattern for did in some for pattern in (str(did), f"at://{did}/{PREFIX}*")]
        answer = query_labels(client, found, patterns, now=now)
        labels += answer.labels
        invalid += answer.invalid
    asked = {str(did) for did in accounts}
    about = [label for label in labels if label.subject.removeprefix("at://").partition("/")[0] in asked]
    store.put_labels(str(labeler), about)
    tally.count(found.endpoint.partition("://")[2], "seen", number=len(about))
    if invalid:
        tally.problem(f"{counted(invalid, 'label')} of {labeler} ignored: not signed by it, or not valid")
