"""GitHub as far as a catalog's workflows see it: events, jobs, caches, artifacts, Pages, comments.

Every ``run:`` step is run as it stands, by the shell that GitHub takes; what ``uses:`` an action is played here, with
the action's own rules: a cache's key and path, the permissions that a deployment needs, what an artifact leaves out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.expressions import filled, has_status
from tests.paths import ROOT
from tests.wheels import pip_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.conftest import Account, Network

__all__ = [
    "MANIFEST",
    "WORKFLOWS",
    "Environment",
    "Hub",
    "Job",
    "Run",
    "build_environment",
    "edit",
    "load_workflow",
    "pages",
    "records",
    "results",
    "scripts",
]

WORKFLOWS: Final = ("plan", "publish", "site")
"""Workflows of a scaffolded repository, and the reusable ones."""

MANIFEST: Final = "manifests/first.yaml"
REPOSITORY: Final = "alice/datasets"
INSTALL: Final = "Install"
"""The step in which the scaffolded workflows run pip."""


@dataclass(slots=True, kw_only=True)
class Environment:
    """The shared part of all runners: ``bin`` of a Python environment, and the variables of pip and the command."""

    bin: Path
    variables: dict[str, str]
    installed: set[tuple[str, str]] = field(default_factory=set)
    """Scripts of the step ``Install`` that succeeded, each with the requirements that it read.

    A real runner begins with an empty environment. Here the second run of such a script would change nothing.
    """


def build_environment(place: Path, wheel: Path) -> Environment:
    """Create an environment that has the wheel installed, so that pip, run as the workflows do, only has to look."""
    bin_folder = place / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True, timeout=300)
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", bin_folder / "python",
         "--constraint", ROOT / "requirements.lock", "pip", f"{wheel}[site]"],
        check=True, timeout=600,
    )  # fmt: skip
    return Environment(bin=bin_folder, variables=pip_environment(wheel.parent))


def load_workflow(file: Path) -> dict[str, Any]:
    """A workflow, its ``on`` under that name: YAML 1.1 takes the bare word for true."""
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(read, dict)
    return {("on" if key is True else key): value for key, value in read.items()}


@dataclass(slots=True, kw_only=True)
class Job:
    """A job that was run: ``result`` is success, failure or skipped; ``steps`` tell the same of each by its name."""

    result: str
    steps: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""


@dataclass(slots=True, kw_only=True)
class Run:
    """A run of a workflow: its jobs by their ids, those of a called workflow as ``site/build``."""

    number: int
    event: str
    contexts: dict[str, Any]
    jobs: dict[str, Job] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    fork: bool = False

    @property
    def log(self) -> str:
        """All that its steps said."""
        return "".join(job.log for job in self.jobs.values())

    @property
    def summary(self) -> str:
        """Return the summary on its page."""
        return "".join(job.summary for job in self.jobs.values())


@dataclass(slots=True, kw_only=True)
class Hub:
    """One repository on GitHub. ``source`` is what its main branch holds."""

    source: Path
    folder: Path
    python: Environment
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    caches: list[tuple[str, str, Path]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    pages_fail: bool = False

    def __post_init__(self) -> None:
        self.comments_file.parent.mkdir(parents=True)
        self.comments_file.write_text("[]", encoding="utf-8")
        tools = self.folder / "tools"
        tools.mkdir()
        fake = Path(__file__).with_name("fakegh.py")
        (tools / "gh").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake}" "$@"\n', encoding="utf-8")
        (tools / "gh").chmod(0o755)

    @property
    def comments_file(self) -> Path:
        """Return the file of the comments."""
        return self.folder / "hub" / "comments.json"

    @property
    def comments(self) -> list[str]:
        """The bodies of the comments on the pull request."""
        return [comment["body"] for comment in json.loads(self.comments_file.read_text(encoding="utf-8"))]

    @property
    def live(self) -> Path:
        """Return the folder that Pages serves."""
        return self.folder / "live"

    # --- events ----------------------------------------------------------------------------------------------

    def push(self, *changed: str) -> dict[str, Run]:
        """Something was pushed to main: the runs of all workflows that this starts, by their names."""
        return self._event("push", changed=changed)

    def pull_request(self, *changed: str, fork: bool = False) -> dict[str, Run]:
        """A pull request was opened, or got another push."""
        return self._event("pull_request", changed=changed, fork=fork)

    def schedule(self) -> dict[str, Run]:
        """The hour has come."""
        return self._event("schedule")

    def dispatch(self, name: str, **inputs: object) -> Run:
        """Start a workflow by hand."""
        return self._run(name, "workflow_dispatch", inputs=inputs)

    def _event(self, event: str, *, changed: Iterable[str] = (), fork: bool = False) -> dict[str, Run]:
        runs = {}
        for file in sorted((self.source / ".github" / "workflows").iterdir()):
            on = load_workflow(file)["on"]
            if event in on and _wanted(on[event] if isinstance(on, dict) else None, list(changed)):
                runs[file.stem] = self._run(file.stem, event, fork=fork)
        return runs

    def _run(self, name: str, event: str, *, inputs: Mapping[str, object] | None = None, fork: bool = False) -> Run:
        number = len(self.runs) + 1
        pull = {
            "number": 7,
            "user": {"login": "bob"},
            "head": {"repo": {"full_name": "bob/datasets" if fork else REPOSITORY}},
        }
        github = {
            "event_name": event,
            "event": {"pull_request": pull} if event == "pull_request" else {},
            "ref": "refs/pull/7/merge" if event == "pull_request" else "refs/heads/main",
            "repository": REPOSITORY,
            "run_id": number,
            "run_attempt": 1,
            "server_url": "https://github.example",
        }
        # A pull request from a fork gets neither variables nor secrets, and a token that only reads.
        contexts = {
            "github": github,
            "vars": {} if fork else dict(self.variables),
            "secrets": {} if fork else dict(self.secrets),
            "inputs": dict(inputs or {}),
        }
        run = Run(number=number, event=event, contexts=contexts, fork=fork)
        self.runs.append(run)
        self._workflow(name, run, contexts, prefix="", granted=None)
        return run

    # --- jobs ------------------------------------------------------------------------------------------------

    def _workflow(
        self, name: str, run: Run, contexts: dict[str, Any], *, prefix: str, granted: Mapping[str, str] | None
    ) -> str:
        workflow = load_workflow(self.source / ".github" / "workflows" / f"{name}.yml")
        assert workflow["permissions"] == {}
        results: dict[str, str] = {}
        waiting = dict(workflow["jobs"])
        while waiting:
            # Of the jobs that could start the last: only what `needs` says keeps an order.
            key = [key for key, job in waiting.items() if results.keys() >= set(_needs(job))][-1]
            job = waiting.pop(key)
            needs = _needs(job)
            outcomes = {need: {"result": results[need], "outputs": run.jobs[prefix + need].outputs} for need in needs}
            mine = {**contexts, "needs": outcomes}
            wanted = self._holds(job.get("if"), mine, ok=all(results[need] == "success" for need in needs))
            permissions = job["permissions"]
            for what, level in permissions.items():
                assert granted is None or granted.get(what) == level, f"{prefix}{key} isn't granted {what}: {level}"
            if not wanted:
                run.jobs[prefix + key] = Job(result="skipped")
            elif "uses" in job:
                place = job["uses"]
                assert place.startswith("$/.github/workflows/"), place
                called = place.removeprefix("$/.github/workflows/").removesuffix(".yml")
                declared = load_workflow(self.source / ".github" / "workflows" / f"{called}.yml")["on"]["workflow_call"]
                passed = {
                    **contexts,
                    "inputs": _given(job.get("with", {}), (declared or {}).get("inputs", {}), mine),
                    "secrets": _given(job.get("secrets", {}), (declared or {}).get("secrets", {}), mine),
                }
                run.jobs[prefix + key] = Job(
                    result=self._workflow(called, run, passed, prefix=f"{prefix}{key}/", granted=permissions)
                )
            else:
                run.jobs[prefix + key] = self._job(workflow, job, run, mine, place=f"{prefix}{key}".replace("/", "-"))
            results[key] = run.jobs[prefix + key].result
        return "failure" if "failure" in results.values() else "success"

    def _job(
        self, workflow: Mapping[str, Any], job: Mapping[str, Any], run: Run, contexts: dict[str, Any], *, place: str
    ) -> Job:
        assert job["runs-on"] == "ubuntu-24.04"
        shell = workflow["defaults"]["run"]["shell"]
        assert shell == "bash"
        done = Job(result="success")
        steps: dict[str, dict[str, Any]] = {}
        space = self.folder / "runs" / str(run.number) / place
        (space / "work").mkdir(parents=True)
        granted = job["permissions"]
        level = "read" if run.fork else granted.get("pull-requests", "none")
        contexts = {
            **contexts,
            "steps": steps,
            "github": {**contexts["github"], "token": f"token pull-requests:{level}"},
        }
        for number, step in enumerate(job["steps"]):
            name = step["name"]
            outputs: dict[str, str] = {}
            if not self._holds(step.get("if"), contexts, ok=done.result == "success"):
                outcome = "skipped"
            elif "uses" in step:
                action = step["uses"].partition("@")[0]
                given = {key: filled(value, contexts, {}) for key, value in step.get("with", {}).items()}
                outcome, outputs = self._play(action, given, run, space / "work", job)
            else:
                outcome, outputs = self._shell(step, contexts, done, space, number)
            done.steps[name] = outcome
            if "id" in step:
                steps[step["id"]] = {"outcome": outcome, "outputs": outputs}
            if outcome == "failure":
                done.result = "failure"
        done.outputs = {key: str(filled(value, contexts, {}) or "") for key, value in job.get("outputs", {}).items()}
        return done

    @staticmethod
    def _holds(condition: str | None, contexts: dict[str, Any], *, ok: bool) -> bool:
        if condition is None:
            return ok
        calls: dict[str, Callable[..., object]] = {"cancelled": lambda: False, "always": lambda: True}
        value = bool(filled(condition, contexts, calls))
        return value if has_status(condition) else value and ok

    def _shell(
        self, step: Mapping[str, Any], contexts: dict[str, Any], job: Job, space: Path, number: int
    ) -> tuple[str, dict[str, str]]:
        """Run a step's script unchanged, as GitHub's runner starts it."""
        assert "${{" not in step["run"]
        script, outputs, summary = (space / f"{number}.{kind}" for kind in ("sh", "outputs", "summary"))
        script.write_text(step["run"], encoding="utf-8")
        outputs.touch()
        summary.touch()
        environment = {
            **self.python.variables,
            **self.environment,
            "FAKE_GH_COMMENTS": str(self.comments_file),
            **{key: str(filled(value, contexts, {}) or "") for key, value in step.get("env", {}).items()},
            "PATH": os.pathsep.join([str(self.python.bin), str(self.folder / "tools"), "/usr/bin", "/bin"]),
            "HOME": str(self.folder),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_REPOSITORY": REPOSITORY,
            "RUNNER_TEMP": str(space),
        }
        requirements = space / "work" / environment.get("REQUIREMENTS", "requirements.txt")
        needed = (step["run"], requirements.read_text(encoding="utf-8")) if step["name"] == INSTALL else None
        if needed in self.python.installed:
            return "success", {}
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=space / "work", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        job.log += ran.stdout + ran.stderr
        job.summary += summary.read_text(encoding="utf-8")
        if needed is not None and ran.returncode == 0:
            self.python.installed.add(needed)
        said = dict(line.split("=", 1) for line in outputs.read_text(encoding="utf-8").splitlines())
        return "success" if ran.returncode == 0 else "failure", said

    # --- actions ---------------------------------------------------------------------------------------------

    def _play(
        self, action: str, given: Mapping[str, Any], run: Run, work: Path, job: Mapping[str, Any]
    ) -> tuple[str, dict[str, str]]:
        """Run our stand-in for an action."""
        granted = job["permissions"]
        match action:
            case "actions/checkout":
                assert granted["contents"] == "read"
                assert given["persist-credentials"] is False
                shutil.copytree(self.source, work, dirs_exist_ok=True)
            case "actions/setup-python":
                assert (work / str(given.get("cache-dependency-path", "requirements.txt"))).is_file()
            case "actions/cache/restore":
                self._restore(given, work)
            case "actions/cache/save":
                assert run.event != "pull_request", "what a pull request made must not be kept for main"
                self._save(given, work)
            case "actions/upload-artifact":
                _copy(work / given["path"], self._kept(run, given["name"]) / Path(given["path"]).name)
            case "actions/download-artifact":
                shutil.copytree(run.artifacts[given["name"]], work, dirs_exist_ok=True)
            case "actions/upload-pages-artifact":
                ignored = shutil.ignore_patterns(".*")
                shutil.copytree(work / given["path"], self._kept(run, "github-pages") / "site", ignore=ignored)
            case "actions/deploy-pages":
                assert dict(granted) == {"pages": "write", "id-token": "write"}
                assert job["environment"]["name"] == "github-pages"
                if self.pages_fail:
                    return "failure", {}
                shutil.rmtree(self.live, ignore_errors=True)
                shutil.copytree(run.artifacts["github-pages"] / "site", self.live)
            case _:
                raise AssertionError(action)
        return "success", {}

    def _kept(self, run: Run, name: str) -> Path:
        assert name not in run.artifacts, "an artifact's name is taken once a run"
        run.artifacts[name] = self.folder / "artifacts" / str(run.number) / name
        run.artifacts[name].mkdir(parents=True)
        return run.artifacts[name]

    def _restore(self, given: Mapping[str, Any], work: Path) -> None:
        for prefix, exact in ((given["key"], True), (given["restore-keys"], False)):
            for key, path, kept in reversed(self.caches):
                if path == given["path"] and (key == prefix if exact else key.startswith(prefix)):
                    _copy(kept, work / path)
                    return

    def _save(self, given: Mapping[str, Any], work: Path) -> None:
        assert given["key"] not in [key for key, _, _ in self.caches], "a cache is never written twice"
        kept = self.folder / "caches" / str(len(self.caches))
        _copy(work / given["path"], kept)
        self.caches.append((given["key"], given["path"], kept))


def scripts(file: Path) -> dict[str, str]:
    """Return the script of each ``run:`` step of a workflow."""
    steps = [step for job in load_workflow(file)["jobs"].values() for step in job.get("steps", [])]
    return {step["name"]: step["run"] for step in steps if "run" in step}


def records(network: Network, account: Account) -> dict[str, str]:
    """Return the CIDs of an account's records by their names; the request is plain XRPC."""
    found: dict[str, str] = {}
    for kind in ("schema", "entry", "label"):
        collection = f"science.alt.dataset.{kind}"
        listed = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": collection})
        found |= {record["value"]["name"]: record["cid"] for record in listed["records"]}
    return found


def pages(hub: Hub) -> dict[str, str]:
    """Return the deployed pages of datasets, by their folders."""
    folder = hub.live / "datasets"
    return {str(file.parent): file.read_text(encoding="utf-8") for file in folder.rglob("*/*/index.html")}


def edit(hub: Hub, name: str, change: Callable[[str], str]) -> None:
    """Change a file of the repository."""
    file = hub.source / name
    text = file.read_text(encoding="utf-8")
    assert change(text) != text
    file.write_text(change(text), encoding="utf-8")


def results(run: Run) -> dict[str, str]:
    """Return the result of each job."""
    return {name: job.result for name, job in run.jobs.items()}


def _given(
    values: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]], contexts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the inputs of a called workflow: those it declares, with the defaults of those not given."""
    assert values.keys() <= declared.keys(), "GitHub refuses what isn't declared"
    return {
        name: filled(values[name], contexts, {}) if name in values else one.get("default")
        for name, one in declared.items()
    }


def _needs(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def _wanted(filters: object, changed: list[str]) -> bool:
    """Return whether an event's filters start a workflow for the changed files."""
    rules = filters if isinstance(filters, dict) else {}
    if "branches" in rules:
        assert rules["branches"] == ["main"]

    def meets(path: str, patterns: list[str]) -> bool:
        return any(fnmatch(path, pattern.replace("**", "*")) for pattern in patterns)

    if "paths" in rules:
        return any(meets(path, rules["paths"]) for path in changed)
    if "paths-ignore" in rules:
        return not all(meets(path, rules["paths-ignore"]) for path in changed)
    return True
