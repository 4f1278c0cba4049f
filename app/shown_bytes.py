"""Bytes and texts that others wrote, as they may go to a terminal: no control character gets through."""

from __future__ import annotations

import json


def safe(text: str) -> str:
    """With everything that isn't printable as an escape; line ends, too."""
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def safe_lines(text: str) -> str:
    """Likewise, but line ends stay."""
    return "\n".join(map(safe, text.split("\n")))


def safe_json(value: object, indent: int | None = 2) -> str:
    """As JSON for people and programs: letters as they are, what a terminal might obey as ``\\u....``.

    ``indent`` None: in one line.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def shown(content: bytes | None, most_characters: int) -> str:
    """As text where it is UTF-8, otherwise as hexadecimal digits; cut after ``most_characters``."""
    if content is None:
        return "none"
    try:
        text = safe(content[: 4 * most_characters].decode())
    except UnicodeDecodeError as error:
        if error.start < 4 * most_characters - 4:
            text = f"0x{content[:most_characters].hex()}"
        else:  # the cut went through a character
            text = safe(content[: error.start].decode())
    if len(text) <= most_characters and len(content) <= 4 * most_characters:
        return text
    return f"{text[:most_characters]}... ({len(content)} bytes)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "replace").decode()
