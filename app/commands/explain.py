"""``turnstile explain``: why a user is in an audience, or not, as a tree of sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import (
    AsJson,
    By,
    Project,
    SettingsFile,
    UserName,
    WorkerKey,
    WorkerUrl,
    user_named,
    worker_client,
)

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

STYLES = {True: ("yes", "bold green"), False: ("no", "bold red")}
UNWRAPPED = 1_000_000
"""Columns where nobody looks at a terminal."""


def explain(
    user: UserName,
    audience: Annotated[
        str, typer.Argument(metavar="AUDIENCE", help="Id of an audience.", show_default=False)
    ],
    project: Project = "default",
    by: By = None,
    url: WorkerUrl = None,
    key: WorkerKey = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Say why a user is in an audience, or not: the rule as a tree, what was found, what comes next."""
    import sys

    from app.shown_bytes import safe_json

    named, query = user_named(user, by)
    client = worker_client(url, key, project, settings)
    found = client.get("users", named, "explain", audience, query=query)
    if as_json:
        typer.echo(safe_json(found))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else UNWRAPPED)
    console.print(tree(found))


def tree(found: dict[str, Any]) -> Tree:
    """An explanation, as the worker gives it, for a terminal."""
    from rich.text import Text
    from rich.tree import Tree

    from rules.explain.phrases import quoted

    name = f"{found['audience']} ({quoted(found['audience_name'])}, version {found['audience_version']})"
    if found["member"]:
        leaves = f"leaves at {found['exit_at']}" if found["exit_at"] else "doesn't leave by time alone"
        stay = f"is in {name} since {found['since']}; {leaves}"
    else:
        stay = f"is not in {name}"
    root = Tree(Text(f"{quoted(found['user_id'])} {stay} (as of {found['at']})"))
    _grow(root, found["rule"])
    pending = found.get("pending")
    if pending is not None:
        _grow_pending(root, found["pending_version"], pending)
    return root


def _grow_pending(root: Tree, version: int, pending: dict[str, Any]) -> None:
    from rich.text import Text

    told = f"Version {version} doesn't decide yet: it is {pending['state']}"
    if "rule" not in pending:
        root.add(Text(f"{told}."))
        return
    would = "would be in" if pending["member"] else "would not be in"
    below = root.add(Text(f"{told}, computed up to {pending['at']}. By it the user {would}:"))
    _grow(below, pending["rule"])


def _grow(above: Tree, node: dict[str, Any]) -> None:
    branch = above.add(_line(node))
    for part in node.get("parts", ()):
        _grow(branch, part)


def _line(node: dict[str, Any]) -> Text:
    from rich.text import Text

    points = f"{node['points']} points: " if "points" in node else ""
    until = f" {'Until' if node['value'] else 'From'} {node['flips_at']}." if node["flips_at"] else ""
    line = Text.assemble(STYLES[node["value"]], " ", f"{points}{node['text']} ", (node["found"], "cyan"))
    line.append(until, "yellow")
    return line
