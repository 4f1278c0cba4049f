"""The source formats by name, and the format of each source topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agents.formats.cloudevents import MAPPING, NATIVE, PROPERTIES, CloudEvents, DataFormat
from agents.formats.format import Format
from agents.formats.mapping_parse import Mistake, parse_mapping
from agents.formats.native import Native
from agents.formats.segment import Segment
from agents.formats.sensors import Sensors
from rules.parse.problems import name_hint

CLOUDEVENTS: Final = "cloudevents"
PLAIN: Final[Mapping[str, Format]] = {NATIVE: Native(), "segment": Segment(), "sensors": Sensors()}
"""Those that need nothing else than their name."""
NAMES: Final = (*PLAIN, CLOUDEVENTS, MAPPING)
DATA_NAMES: Final = (*PLAIN, PROPERTIES, MAPPING)

Formats = Mapping[str, Format]
"""By topic; the records of a topic that isn't named are native."""
ALL_NATIVE: Final[Formats] = {}


def make_format(
    name: str, data_format: str | None = None, mapping: object = None
) -> tuple[Format | None, Sequence[Mistake]]:
    """A format, or everything that is wrong with what it should be made of.

    ``mapping`` is as YAML or JSON has it; the paths of mistakes begin with the name of the argument.
    """
    if name not in NAMES:
        return None, [Mistake("format", f"there is no format '{name}'; {name_hint(name, NAMES)}")]
    mistakes: list[Mistake] = []
    if data_format is not None and name != CLOUDEVENTS:
        mistakes.append(Mistake("data_format", f"has no effect: only {CLOUDEVENTS} has data of a format"))
    inner = data_format or NATIVE
    if name == CLOUDEVENTS and inner not in DATA_NAMES:
        text = f"there is no format '{inner}' for data; {name_hint(inner, DATA_NAMES)}"
        mistakes.append(Mistake("data_format", text))
    is_mapped = MAPPING in (name, inner if name == CLOUDEVENTS else name)
    mapped: Format | None = None
    if is_mapped and mapping is None:
        mistakes.append(Mistake("mapping", "is missing: give it here, or its file as mapping_file"))
    elif is_mapped:
        mapped, found = parse_mapping(mapping)
        mistakes += [Mistake(_under("mapping", each.path), each.message) for each in found]
    elif mapping is not None:
        mistakes.append(Mistake("mapping", f"has no effect: the format is {name}, not {MAPPING}"))
    if mistakes:
        return None, mistakes
    if name == CLOUDEVENTS:
        data = mapped if inner == MAPPING else PLAIN.get(inner, PLAIN[NATIVE])
        assert data is not None
        return CloudEvents(DataFormat(inner, data)), ()
    return (mapped if name == MAPPING else PLAIN[name]), ()


def _under(name: str, path: str) -> str:
    return f"{name}{'' if not path or path.startswith('[') else '.'}{path}"
