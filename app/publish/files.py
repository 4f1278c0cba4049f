"""Definition files: finding, reading and parsing them, with every problem told at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rules.model.language import Audience
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import MAX_SAMPLES, check_together, parse_definitions
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid
from rules.parse.values import UTC

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
"""What counts as a definition file in a folder; one that is named itself may have any name."""
STDIN = Path("-")
"""Names standard input, as files do that a command in a container can't have."""


def read_definition_files(paths: Sequence[Path]) -> tuple[list[tuple[str, str]], list[DefinitionProblem]]:
    """(name, text) of files and of all definition files below folders, and those that can't be read.

    Names are relative to the current folder where they lie in it. A file is read once, however often
    it is named. ``-`` is standard input.
    """
    texts: dict[str, str] = {}
    problems: list[DefinitionProblem] = []
    for path in paths:
        found = sorted(_below(path)) if path.is_dir() else [path]
        if not found:
            message = f"no definition in this folder ({', '.join(sorted(SUFFIXES))})"
            problems.append(_problem("no_definitions", message, path))
        for file in found:
            name = _shown(file)
            if name in texts:
                continue
            try:
                whole = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
                texts[name] = whole.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
            except OSError as error:
                problems.append(_problem("unreadable", f"can't be read: {error.strerror}", file))
            except UnicodeDecodeError as error:
                message = f"not UTF-8: {error.reason} at byte {error.start}"
                problems.append(_problem("not_utf8", message, file))
    return list(texts.items()), problems


def parse_definition_files(
    paths: Sequence[Path], max_samples: int = MAX_SAMPLES, timezones: Mapping[str, str] = UTC
) -> tuple[list[ParsedAudience], list[DefinitionProblem]]:
    """The audiences without a fault of their own, and the problems; not yet checked together."""
    texts, problems = read_definition_files(paths)
    audiences: list[ParsedAudience] = []
    for name, text in texts:
        parsed, found = parse_definitions(text, name, max_samples, timezones)
        audiences += parsed
        problems += found
    return audiences, problems


def load_audiences(
    paths: Sequence[Path], max_samples: int = MAX_SAMPLES, timezones: Mapping[str, str] = UTC
) -> list[Audience]:
    """The audiences of files and folders. Raises DefinitionsInvalid with every problem."""
    audiences, problems = parse_definition_files(paths, max_samples, timezones)
    problems += list(check_together(audiences, found_before=problems))
    if problems:
        raise DefinitionsInvalid(problems)
    return [each.audience for each in audiences]


def _below(folder: Path) -> Iterator[Path]:
    """Definition files, hidden files and folders left out."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(root, name)


def _shown(path: Path) -> str:
    if path == STDIN:
        return "<stdin>"
    whole, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(whole, here) if whole.startswith(here.rstrip(os.sep) + os.sep) else str(path)


def _problem(code: str, message: str, path: Path) -> DefinitionProblem:
    return DefinitionProblem(code, message, "", _shown(path), 1, 1)
