"""Just so much of GitHub's command ``gh api`` as comments need, over a JSON file; says no without the permission.

Not imported: :mod:`tests.workflowruns` puts it on the path of workflows' steps under the name ``gh``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

ISSUES = "repos/alice/datasets/issues"
FILTER = re.compile(r'\.\[\] \| select\(\.user\.login == "([^"]+)" and \(\.body \| startswith\("([^"]+)"\)\)\) \| \.id')


def main(arguments: list[str]) -> None:
    """Answer as ``gh api [--paginate] [--silent] [--method M] [--jq FILTER] [--field body=@FILE] PLACE`` would."""
    assert arguments.pop(0) == "api"
    options, places = {}, []
    while arguments:
        word = arguments.pop(0)
        if word in {"--paginate", "--silent"}:
            options[word] = ""
        elif word.startswith("--"):
            options[word] = arguments.pop(0)
        else:
            places.append(word)
    (place,) = places
    if os.environ["GH_TOKEN"] != "token pull-requests:write":
        sys.exit("gh: Resource not accessible by integration (HTTP 403)")
    file = Path(os.environ["FAKE_GH_COMMENTS"])
    comments = json.loads(file.read_text(encoding="utf-8"))
    method = options.get("--method", "GET")
    if method == "GET":
        assert "--paginate" in options, "or only the first thirty are seen"
        wanted = FILTER.fullmatch(options["--jq"])
        assert wanted is not None, options
        assert place == f"{ISSUES}/7/comments"
        for comment in comments:
            if comment["login"] == wanted[1] and comment["body"].startswith(wanted[2]):
                sys.stdout.write(f"{comment['id']}\n")
        return
    name, _, source = options["--field"].partition("=@")
    body = Path(source).read_text(encoding="utf-8")
    assert name == "body"
    assert len(body) <= 65_536
    if method == "POST":
        assert place == f"{ISSUES}/7/comments"
        comments.append({"id": 100 + len(comments), "login": "github-actions[bot]", "body": body})
    else:
        assert method == "PATCH"
        (comment,) = [one for one in comments if place == f"{ISSUES}/comments/{one['id']}"]
        comment["body"] = body
    file.write_text(json.dumps(comments), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
