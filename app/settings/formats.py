"""How the records of source topics are written (docs/source-formats.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from agents.formats.cloudevents import MAPPING
from agents.formats.format import Format
from agents.formats.mapping_parse import Mistake
from agents.formats.registry import DATA_NAMES, NAMES, make_format
from app.settings.values import JsonList, Section, Text, setting
from rules.parse.document import plain
from rules.parse.problems import name_hint
from rules.parse.text import parse_text


class FormatUnknown(ValueError):
    """There is no such format, or no topic that has one; the text says what there is."""


class SourceFormat(Section):
    """The format of one source topic."""

    topic: Text = setting(..., "one of topics.events", "The source topic.")
    format: Text = setting(..., " or ".join(NAMES), "How its records are written.")
    data_format: Text | None = setting(
        None, " or ".join(DATA_NAMES), "How the data of cloudevents is written; by default native."
    )
    mapping: Any = setting(
        None, "a map, or a list of maps", "Where the native fields stand, of the format mapping."
    )
    mapping_file: Path | None = setting(
        None, "the path of a file in YAML or JSON", "A file that has it, in place of mapping."
    )


class SourcesSettings(Section):
    """Source topics whose records are not written in the native format."""

    formats: Annotated[tuple[SourceFormat, ...], JsonList] = setting(
        (),
        "a list of {topic, format, data_format, mapping, mapping_file} (JSON in a variable)",
        "Formats of source topics; a topic that isn't named has the native one. All workers need the same.",
    )


def formats_of(settings: SourcesSettings) -> dict[str, Format]:
    """By topic. The settings are without fault."""
    made = {each.topic: _made(each)[0] for each in settings.formats}
    return {topic: each for topic, each in made.items() if each is not None and each.name != "native"}


def format_of(settings: SourcesSettings, topic: str | None, name: str | None) -> Format | None:
    """The format of a source topic, or the one of this name; None: native.

    Raises FormatUnknown.
    """
    if topic is not None and name is not None:
        raise FormatUnknown("--source names a topic's format already: leave out --format")
    if topic is not None:
        known = {each.topic: each for each in settings.formats}
        if topic not in known:
            hint = name_hint(topic, known) if known else "the settings name none (sources.formats)"
            raise FormatUnknown(f"no topic '{topic}' with a format; {hint}")
        return formats_of(settings).get(topic)
    if name is None:
        return None
    if name == MAPPING:
        raise FormatUnknown(f"--format {MAPPING} needs settings of its own: name their topic with --source")
    made, mistakes = make_format(name)
    if made is None:
        raise FormatUnknown("; ".join(each.message for each in mistakes))
    return None if name == "native" else made


def disagreements(settings: SourcesSettings, topics: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with formats: the names (the one to blame first), the text."""
    seen: set[str] = set()
    for at, each in enumerate(settings.formats):
        place = f"sources.formats[{at}]"
        if each.topic not in topics:
            hint = name_hint(each.topic, topics)
            yield (f"{place}.topic", "topics.events"), f"'{each.topic}' is none of topics.events; {hint}"
        elif each.topic in seen:
            yield (f"{place}.topic",), f"'{each.topic}' has a format already"
        seen.add(each.topic)
        for mistake in _made(each)[1]:
            yield (f"{place}.{mistake.path}",), mistake.message


def _made(given: SourceFormat) -> tuple[Format | None, Sequence[Mistake]]:
    if given.mapping_file is None:
        return make_format(given.format, given.data_format, given.mapping)
    if given.mapping is not None:
        return None, [Mistake("mapping_file", "give it, or mapping, but not both")]
    read, mistakes = read_mapping(given.mapping_file)
    return (None, mistakes) if mistakes else make_format(given.format, given.data_format, read)


def read_mapping(file: Path) -> tuple[Mapping[str, Any] | Sequence[Any] | None, Sequence[Mistake]]:
    """The mapping in a file, or what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        return None, [Mistake("mapping_file", f"{file} can't be read: {error.strerror}")]
    except UnicodeDecodeError:
        return None, [Mistake("mapping_file", f"{file} isn't UTF-8")]
    documents, problems = parse_text(text, str(file))
    if not problems and len(documents) != 1:
        return None, [Mistake("mapping_file", f"{file} must hold one mapping, and has {len(documents)}")]
    return (plain(documents[0]) if documents else None), [
        Mistake("mapping_file", str(each)) for each in problems
    ]
