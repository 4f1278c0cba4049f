"""The reasons that docs and AsyncAPI list are the codes that the code can give: all of them, no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from agents.deliver.engine.dead_letter_reasons import OF_DESTINATIONS
from agents.evaluate.dead_letter_reasons import (
    OF_CLAIMS,
    OF_REPARTITION,
    OF_SOURCES,
    OF_TRANSITIONS,
    REPARTITION_REFUSED,
)
from tests import ROOT

OF_WORKERS = {"RecordRefused": (0, 2, "validate"), "DeadLetter": (2, 4, "")}
"""Calls that give a code: where it stands, where the stage stands, and the stage by default."""
OF_DELIVERY = {
    "Rejected": (0, -1, "deliver"),
    "Unsendable": (0, -1, "deliver"),
    "bury_records": (1, -1, "deliver"),
}
PASSED_ON = {"letter_of", "as_id"}
"""Functions whose argument is a code that is given at their calls: see ``_named_by_calls``."""

Given = dict[str, set[str]]
"""Stages by code."""


def modules(*folders: str) -> Iterator[ast.Module]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text("utf-8"), str(path))


def constants(module: ast.Module) -> dict[str, str]:
    """Names of the module that stand for a text."""
    return {
        target.id: each.value.value
        for each in ast.walk(module)
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
        for target in each.targets
        if isinstance(target, ast.Name) and isinstance(each.value.value, str)
    }


def texts(node: ast.expr, module: ast.Module) -> list[str]:
    """What an argument can be: a text, a name that stands for one, or ``http_{status}``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(_part(each) for each in node.values)]
    if isinstance(node, ast.Name):
        known = constants(module)
        if node.id in known:
            return [known[node.id]]
        return [*_assigned(node.id, module), *_named_by_calls(node.id, module)]
    return []  # an attribute: a code that was given elsewhere and is passed on


def _part(node: ast.expr) -> str:
    return f"<{ast.unparse(node.value)}>" if isinstance(node, ast.FormattedValue) else ast.literal_eval(node)


def _assigned(name: str, module: ast.Module) -> Iterator[str]:
    """``code, reason = f"http_{status}", …``"""
    for each in ast.walk(module):
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Tuple):
            for target in each.targets:
                if isinstance(target, ast.Tuple):
                    for one, value in zip(target.elts, each.value.elts, strict=True):
                        if isinstance(one, ast.Name) and one.id == name:
                            yield from texts(value, module)


def _named_by_calls(name: str, module: ast.Module) -> Iterator[str]:
    """A parameter: what the calls of its function in the module give for it."""
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = [each.arg for each in function.args.args]
        if name in names and function.name in PASSED_ON:
            for call in ast.walk(module):
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Name)
                    and call.func.id == function.name
                ):
                    yield from texts(call.args[names.index(name)], module)


def given(folders: Iterable[str], calls: dict[str, tuple[int, int, str]]) -> Given:
    found: Given = {}
    for module in modules(*folders):
        for call in ast.walk(module):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name not in calls:
                continue
            code_at, stage_at, default = calls[name]
            codes = texts(call.args[code_at], module)
            stages = texts(call.args[stage_at], module) if -1 < stage_at < len(call.args) else [default]
            for code in codes:
                found.setdefault(code, set()).update(stages)
    return found


def given_up() -> set[str]:
    """What ``_why_given_up`` of the delivery's engine answers."""
    (module,) = (each for each in modules("agents/deliver/engine") if "_why_given_up" in ast.dump(each))
    (function,) = (
        each
        for each in ast.walk(module)
        if isinstance(each, ast.FunctionDef) and each.name == "_why_given_up"
    )
    answers = [each.value for each in ast.walk(function) if isinstance(each, ast.Return)]
    return {each.value for each in answers if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def test_reasons_of_workers_are_those_that_the_code_gives() -> None:
    listed = {
        each.code: set(each.stages)
        for each in (*OF_SOURCES, *OF_REPARTITION, *REPARTITION_REFUSED, *OF_TRANSITIONS, *OF_CLAIMS)
    }
    assert given(["agents"], OF_WORKERS) == listed


def test_reasons_of_destinations_are_those_that_the_code_gives() -> None:
    codes = {*given(["agents/deliver", "agents/sinks"], OF_DELIVERY), *given_up()}
    assert codes == {each.code for each in OF_DESTINATIONS}


def test_no_code_is_listed_twice() -> None:
    for topic in ((*OF_SOURCES, *REPARTITION_REFUSED, *OF_REPARTITION), OF_DESTINATIONS):
        codes = [each.code for each in topic]
        assert len(codes) == len(set(codes))


def test_tables_of_codes_on_any_page_name_none_that_there_is_not() -> None:
    known = {
        each.code
        for reasons in (
            *(OF_SOURCES, OF_REPARTITION, REPARTITION_REFUSED),
            *(OF_TRANSITIONS, OF_CLAIMS, OF_DESTINATIONS),
        )
        for each in reasons
    }
    found = {
        code
        for page in (ROOT / "docs").glob("*.md")
        for table in re.findall(
            r"^\| code \|.* the record \|.*\n\|-.*\n((?:\|.*\n)+)", page.read_text("utf-8"), re.MULTILINE
        )
        for row in table.splitlines()
        for code in re.findall(r"`([^`]+)`", row.split("|")[1])
    }
    assert found == known
