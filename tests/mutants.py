"""Mutation check of the safety code, run by hand: which small mistakes would no test notice?

    python -m tests.mutants                        everything, some minutes
    python -m tests.mutants agents/evaluate/commits.py ...  these files
    python -m tests.mutants --list                 the mutants, without running them
    python -m tests.mutants --only "fired_until"      those whose text contains this

Each mutant changes one comparison, one number next to a comparison, one condition, or the order of two
statements, in a scratch copy of the repository; then the quick tests of that file run until the first fails.
A mutant that none fails on *survives*: either a test is missing, or the change makes no difference.
``EQUIVALENT`` names those of which the latter was found, with the reason.

What was found is kept in ``.mutants.json``; a run takes up where the last one stopped, unless the source file
or one of its test files changed since (``--again`` forgets everything). Needs no broker.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT

RESULTS = ROOT / ".mutants.json"
SECONDS = 120
"""A mutant may make a loop endless: then it is caught."""
COPIED = ["agents", "app", "bench", "rules", "tables", "tests", "pyproject.toml"]

DRIVEN = [
    "tests/agents/evaluate/test_pipeline.py",
    "tests/agents/evaluate/test_sent_again.py",
    "tests/agents/evaluate/test_row_limits.py",
    "tests/agents/evaluate/test_language_against_model.py",
]
GRAFTED = [
    "tests/agents/evaluate/test_graft_cases.py",
    "tests/agents/evaluate/test_grafts.py",
    "tests/agents/evaluate/test_graft_crashes.py",
]
TESTS: dict[str, list[str]] = {
    "rules/decide/graft.py": GRAFTED,
    "rules/compile/graft_plan.py": GRAFTED,
    "agents/evaluate/partition/grafting.py": GRAFTED,
    "agents/evaluate/shadow.py": GRAFTED,
    "agents/kafka/batches.py": ["tests/faults/test_order_of_writes.py", *DRIVEN],
    "agents/evaluate/commits.py": [
        "tests/faults/test_order_of_writes.py",
        "tests/worker/partitions/test_membership.py",
        *DRIVEN,
    ],
    "agents/evaluate/outgoing.py": DRIVEN,
    "agents/evaluate/pipeline.py": [
        "tests/tables/test_old_rows.py",
        *DRIVEN,
        "tests/agents/evaluate/test_records.py",
    ],
    "agents/evaluate/partition/apply.py": [*DRIVEN, "tests/agents/evaluate/test_records.py"],
    "agents/evaluate/partition/judge.py": ["tests/agents/evaluate/test_timestamps_ahead.py", *DRIVEN],
    "agents/evaluate/partition/state.py": DRIVEN,
    "agents/evaluate/partition/positions.py": DRIVEN,
    "agents/evaluate/partition/sweep.py": ["tests/agents/evaluate/test_audiences_computed_once.py", *DRIVEN],
    "agents/restore/restorer.py": DRIVEN,
    "agents/evaluate/partition/row_limits.py": ["tests/agents/evaluate/test_row_limits.py"],
    "app/worker/watchdog.py": ["tests/app/worker/test_watchdog.py"],
    "rules/state/dedupe.py": [
        "tests/rules/state/test_dedupe.py",
        "tests/agents/evaluate/test_language_against_model.py",
    ],
    "tables/changelog/reader.py": ["tests/tables/test_changelog.py", *DRIVEN],
    "tables/changelog/writer.py": ["tests/tables/test_changelog.py", *DRIVEN],
    "tables/profiles.py": ["tests/tables/test_profiles.py", *DRIVEN],
    "tables/timer_index.py": ["tests/tables/test_profiles.py", *DRIVEN],
    "tables/store.py": ["tests/tables/test_stores.py", "tests/tables/test_profiles.py"],
}
"""Per file, the quick tests that must notice, those that fail soonest first."""

BY_HAND: list[tuple[str, str, str]] = [
    ("tables/timer_index.py", "max(self._floor_ms, before_ms)", "max(self._floor_ms, before_ms + 1)"),
    (
        "agents/evaluate/pipeline.py",
        "self.profiles.timers.fired_until(stream_time_ms)",
        "self.profiles.timers.fired_until(stream_time_ms + 1)",
    ),
    (
        "agents/evaluate/outgoing.py",
        "for at, each in unacked[key] if at <= number",
        "for at, each in unacked[key] if at == number",
    ),
    ("agents/evaluate/outgoing.py", "if refused_before else None", "if False else None"),
    ("agents/evaluate/outgoing.py", "[*step.refused_before, *(each", "[*(each"),
    ("agents/evaluate/commits.py", "while not self._may_write():", "while False:"),
    (
        "app/worker/worker.py",
        "may_write=lambda: self.consumer.is_member()",
        "may_write=lambda: True",
    ),
    (
        "agents/evaluate/outgoing.py",
        "self._noting_step = acked = self.acked_step",
        "self._noting_step = acked = self.noted_step",
    ),
    ("tables/changelog/reader.py", "min(begins, default=self.position)", "self.position"),
]
"""(file, text, what stands there in the mutant): those that survived once, and others that no rule makes."""
TESTS["app/worker/worker.py"] = ["tests/worker/partitions/test_membership.py"]

EQUIVALENT: dict[str, str] = {
    "agents/evaluate/commits.py: order in checkpoint  →  "
    "pipeline.flush(); await self.commit([Work(pipeline, is_note=True)])": (
        "the store then notes the offset before the checkpoint, and recovery reads the checkpoint once more"
    ),
}
"""Text of a survivor (as it is printed, without the line) and why it makes no difference."""

OTHERS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.If, ast.For, ast.While, ast.With, ast.AsyncWith)


@dataclass(frozen=True)
class Mutant:
    """One changed file; ``text`` tells the change without its line, ``source`` is the whole file."""

    file: str
    line: int
    text: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.file}: {self.text}"


def mutants_of(file: str) -> Iterator[Mutant]:
    """The mutants of a file, from its top to its end."""
    source = (ROOT / file).read_text()
    for where, before, after in BY_HAND:
        if where == file:
            assert source.count(before) == 1, f"{file} has {before!r} {source.count(before)} times, not once"
            line = source[: source.index(before)].count("\n") + 1
            yield Mutant(file, line, f"{before}  →  {after}", source.replace(before, after))
    if file == "app/worker/worker.py":
        return
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    for at, node in enumerate(nodes):
        for change in range(_changes(node)):
            mutated = copy.deepcopy(tree)
            other = list(ast.walk(mutated))[at]
            before, line = _told(node), getattr(node, "lineno", 0)
            after = _change(other, change)
            if after is not None:
                yield Mutant(
                    file, line, f"{before}  →  {after}", ast.unparse(ast.fix_missing_locations(mutated))
                )


def _changes(node: ast.AST) -> int:
    if isinstance(node, ast.Compare):
        return len(node.ops)
    if isinstance(node, (ast.BoolOp, ast.Continue, ast.Break)):
        return 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return 1
    body = getattr(node, "body", None)
    if isinstance(node, BLOCKS) and getattr(node, "name", "") != "__init__":
        assert isinstance(body, list)
        return max(0, len(body) - 1)
    return 0


def _change(node: ast.AST, which: int) -> str | None:
    """Change the node in place; what it is now, or None where a change makes no sense."""
    if isinstance(node, ast.Compare):
        node.ops[which] = OTHERS[type(node.ops[which])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp):
        said = ast.unparse(node.operand)
        node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        return f"bool({said})"
    elif isinstance(node, (ast.Continue, ast.Break)):
        return None
    else:
        body: list[ast.stmt] = node.body  # type: ignore[attr-defined]
        first, second = body[which], body[which + 1]
        if not (_does_something(first) and _does_something(second)) or _needs(second, first):
            return None
        body[which], body[which + 1] = second, first
        return f"{_short(second)}; {_short(first)}"
    return ast.unparse(node)


def _told(node: ast.AST) -> str:
    if hasattr(node, "body") and not isinstance(node, ast.IfExp):
        return f"order in {getattr(node, 'name', type(node).__name__.lower())}"
    return ast.unparse(node)


def _short(node: ast.stmt) -> str:
    return ast.unparse(node).splitlines()[0][:60]


def _does_something(node: ast.stmt) -> bool:
    """A call, an await or a yield for its effect: others have no order that anybody could see."""
    acts = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, acts)
    if isinstance(node, (ast.Return, ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    return any(isinstance(each, acts[1:]) for each in ast.walk(node))


def _needs(later: ast.stmt, earlier: ast.stmt) -> bool:
    """Whether a name that one binds is used by the other: the order is then no choice."""
    bound = {
        each.id
        for each in ast.walk(earlier)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    return any(isinstance(each, ast.Name) and each.id in bound for each in ast.walk(later))


def _is_caught(mutant: Mutant, folder: Path) -> bool:
    path = folder / mutant.file
    kept = path.read_text()
    path.write_text(mutant.source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow and not kafka and not broker",
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            [*command, *TESTS[mutant.file]],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(kept)
    return ended.returncode != 0


def _key(mutant: Mutant, folder: Path) -> str:
    """What the result depends on: the mutant and the tests."""
    content = mutant.source + "".join((folder / each).read_text() for each in TESTS[mutant.file])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description="Which small mistakes would no test notice?")
    parser.add_argument("files", nargs="*", default=sorted(TESTS))
    parser.add_argument("--only", default="", help="part of a mutant's text")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument("--again", action="store_true", help="forget earlier results")
    options = parser.parse_args()
    unknown = [each for each in options.files if each not in TESTS]
    if unknown:
        parser.error(f"no tests are named for {', '.join(unknown)}; files: {', '.join(sorted(TESTS))}")
    mutants = [each for file in options.files for each in mutants_of(file) if options.only in each.text]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.file}:{mutant.line}: {mutant.text}")
        return
    known: dict[str, bool] = {}
    if RESULTS.exists() and not options.again:
        known = json.loads(RESULTS.read_text())
    survivors = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in COPIED:
            source = ROOT / each
            if source.is_dir():
                shutil.copytree(source, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / each)
        for number, mutant in enumerate(mutants, 1):
            key = _key(mutant, folder)
            if key not in known:
                known[key] = _is_caught(mutant, folder)
                RESULTS.write_text(json.dumps(known))
            if not known[key]:
                survivors.append(mutant)
                why = EQUIVALENT.get(mutant.name)
                print(f"survives  {mutant.file}:{mutant.line}: {mutant.text}" + (f"  ({why})" if why else ""))
            elif number % 20 == 0:
                print(f"{number} of {len(mutants)}", file=sys.stderr)
    open_ones = [each for each in survivors if each.name not in EQUIVALENT]
    print(f"{len(mutants)} mutants, {len(survivors)} survive, {len(open_ones)} of them without a reason")
    sys.exit(1 if open_ones else 0)


if __name__ == "__main__":
    main()
