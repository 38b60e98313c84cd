"""Manifests, or drafts made by code, to an account's repository: plan, then apply.

::

    manifests ─▶ plan ─▶ shown to people (lines, Markdown, JSON)
                   └───▶ apply ─▶ the repository

Terminology
-----------
*Plan*: what would become of each record (create, update, delete, leave). *Set*: the manifests given together; the
records written from them carry its name as a mark. *Prune*: delete what carries the mark and is in no manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog.errors import PublishError
from catalog.manifest.diagnostics import place
from catalog.publish.apply import Applied, apply_plan
from catalog.publish.plan import Action, Change, Plan, make_plan
from catalog.publish.render_plan import as_lines, as_markdown, summary
from catalog.publish.repo_state import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from catalog.atproto.session import Session
    from catalog.manifest import DraftKey, ManifestSet
    from catalog.syntax import AtUri, Cid

__all__ = [
    "Action",
    "Applied",
    "Change",
    "Plan",
    "PublishReport",
    "Published",
    "Repository",
    "apply_plan",
    "as_lines",
    "as_markdown",
    "make_plan",
    "publish",
    "publish_drafts",
    "summary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What became of the records, as AT-URIs in the plan's order; ``names`` is what their manifests call them."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> PublishReport:
        """Of a plan that was applied."""

        def uris(action: Action) -> tuple[str, ...]:
            return tuple(str(change.uri) for change in plan.of(action))

        return cls(
            created=uris(Action.CREATE),
            updated=uris(Action.UPDATE),
            deleted=uris(Action.DELETE),
            unchanged=uris(Action.LEAVE),
            names={str(change.uri): change.name for change in plan.changes},
        )

    def lines(self) -> list[str]:
        """One line for each record that was written, and a closing one."""
        done = (("created", self.created), ("updated", self.updated), ("deleted", self.deleted))
        told = [f"{word} {self.names.get(uri, 'record')}  {uri}" for word, uris in done for uri in uris]
        counts = [f"{len(uris)} {word}" for word, uris in (*done, ("unchanged", self.unchanged)) if uris]
        return [*told, ", ".join(counts) or "no records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A record that is in the repository now. ``name`` is its kind and name; ``created`` says that it is new."""

    key: DraftKey
    uri: AtUri
    cid: Cid
    name: str
    created: bool


def publish(
    manifests: ManifestSet,
    session: Session,
    *,
    set_name: str | None = "default",
    prune: bool = False,
    progress: Callable[[str], object] | None = None,
) -> PublishReport:
    """Plan and apply in one go. Raises what :func:`make_plan` and :func:`apply_plan` raise."""
    if progress is not None:
        progress(f"reading the repository of {session.handle}")
    plan = make_plan(manifests, session, set_name=set_name, prune=prune)
    apply_plan(plan, session, progress=progress)
    return PublishReport.of(plan)


def publish_drafts(
    manifests: ManifestSet, session: Session, *, progress: Callable[[str], object] | None = None
) -> tuple[Published, ...]:
    """Write what code drafts: only what isn't there yet. Those referred to come first in the answer.

    Raises :class:`PublishError` when a record is there already with other content: code shows nobody a plan. Otherwise
    as :func:`publish`.
    """
    plan = make_plan(manifests, session)
    lines = [
        f"{place(change.draft.file, change.draft.line)}: {change.name} is published with other content ({change.uri}); "
        "changing records is for manifests: `catalog plan` shows what would change"
        for change in plan.of(Action.UPDATE)
        if change.draft is not None
    ]
    if lines:
        raise PublishError("\n".join([*lines, "nothing was written"]))
    apply_plan(plan, session, progress=progress)
    return tuple(
        Published(
            key=change.key,
            uri=change.uri,
            cid=change.cid,
            name=change.name,
            created=change.action is Action.CREATE,
        )
        for change in plan.changes
        if change.cid is not None
    )
