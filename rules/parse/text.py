"""The documents of a file, be they YAML or JSON."""

from __future__ import annotations

from contextlib import suppress

from rules.parse.document import Builder, Node, Stopped
from rules.parse.from_json import parse_json
from rules.parse.from_yaml import parse_yaml
from rules.parse.problems import DefinitionProblem


def parse_text(text: str, file: str) -> tuple[list[Node], list[DefinitionProblem]]:
    """The documents of ``text`` that could be read, empty ones left out, and what is wrong with it.

    JSON is tried where the text looks like it; what then isn't JSON may still be YAML in flow style.
    """
    text = text.removeprefix("\ufeff")
    as_json: Builder | None = None
    if text.lstrip()[:1] in ("{", "["):
        as_json = Builder(file)
        try:
            return [parse_json(text, as_json)], as_json.problems
        except Stopped:
            too_large = as_json.problems[-1].code != "syntax"
            if too_large or file.endswith(".json"):
                return [], as_json.problems
    as_yaml = Builder(file)
    documents: list[Node] = []
    with suppress(Stopped):
        documents.extend(node for node in parse_yaml(text, as_yaml) if node.value is not None)
    return documents, as_yaml.problems
