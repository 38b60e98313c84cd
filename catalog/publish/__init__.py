"""Publish manifests to an account's repository: plan, then apply.

*Plan*: the action for each record (create, update, delete, leave). *Set*: the manifests given together; the records
written from them are marked with its name. *Prune*: delete records with the mark that no manifest declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog.publish.apply import Applied, apply_plan
from catalog.publish.plan import Action, Change, Plan, make_plan
from catalog.publish.render_plan import as_lines, as_markdown, summary
from catalog.publish.repo_state import Repository

if TYPE_CHECKING:
    from catalog.atproto.session import Session
    from catalog.manifest import ManifestSet
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

__all__ = [
    "Action",
    "Applied",
    "Change",
    "Plan",
    "PublishReport",
    "Repository",
    "apply_plan",
    "as_lines",
    "as_markdown",
    "make_plan",
    "publish",
    "summary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """Result of publishing: AT-URIs by action, in the plan's order; ``names`` has the names of their manifests."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> PublishReport:
        """Return the report of a plan that was applied."""

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
        """Return one line for each record that was written, and a closing line."""
        done = (("created", self.created), ("updated", self.updated), ("deleted", self.deleted))
        lines = [f"{word} {self.names.get(uri, 'record')}  {uri}" for word, uris in done for uri in uris]
        counts = [f"{len(uris)} {word}" for word, uris in (*done, ("unchanged", self.unchanged)) if uris]
        return [*lines, ", ".join(counts) or "no records"]


def publish(
    manifests: ManifestSet,
    session: Session,
    *,
    set_name: str | None = "default",
    prune: bool = False,
    compare: int | None = None,
    published: Mapping[AtUri, SampleType] | None = None,
    progress: Callable[[str], object] | None = None,
) -> PublishReport:
    """Plan and apply. Raises as :func:`make_plan` and :func:`apply_plan`."""
    if progress is not None:
        progress(f"reading the repository of {session.handle}")
    plan = make_plan(manifests, session, set_name=set_name, prune=prune, compare=compare, published=published or {})
    apply_plan(plan, session, progress=progress)
    return PublishReport.of(plan)
