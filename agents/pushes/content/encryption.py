"""Ids as they are sent: as they are, or the hash of their normalised value.

Two parties find the same user by hashes only if both normalise in the same way, so the rules are those that
receivers of customer lists publish (docs/pushes-targets.md names them).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import Final, TypeAlias

from agents.pushes.contract.push import IdColumn, Kind

Encrypt: TypeAlias = Callable[[str], str | None]
"""The id that is sent for an identity; None: the user has no such id. Raises UnicodeEncodeError for half a
surrogate pair, which has no bytes that could be hashed."""

KIND_OF: Final[dict[str, Kind]] = {
    "email": "email",
    "e_mail": "email",
    "mobile": "phone",
    "phone": "phone",
    "phone_number": "phone",
}
"""The kind of an id type that doesn't say its kind; of all others it is ``text``."""
_BETWEEN_DIGITS: Final = str.maketrans("", "", " \t\r\n\v\f-./()\u2212")
"""What people write between the digits of a phone number."""
_UNSEEN: Final = frozenset({"Cf", "Pd", "Zs", "Zl", "Zp"})
"""Categories of characters that come along from address books: marks of direction, dashes, spaces."""
_TRUNK: Final = re.compile(r"\(\s*0\s*\)")
"""The zero that is dialled within a country alone, as people write it behind the country's code."""
_PHONE: Final = re.compile(r"[0-9]{5,15}")
"""E.164 has at most fifteen digits."""


def kind_of(id: IdColumn) -> Kind:
    """How the values of an id type are normalised."""
    return id.kind or KIND_OF.get(id.type.lower(), "text")


def told_encryption(id: IdColumn) -> str:
    """What a list says about an id type's encryption."""
    return id.method if id.encryption == "as_is" and id.method else id.encryption


def encrypter_of(id: IdColumn) -> Encrypt:
    """From an identity to what is sent. ``plain`` and ``as_is`` change nothing."""
    if id.encryption in ("plain", "as_is"):
        return lambda value: value if value and not value.isspace() else None
    normalised = normaliser_of(kind_of(id), id.country_code)
    make = hashlib.md5 if id.encryption == "md5" else hashlib.sha256

    def hashed(value: str) -> str | None:
        text = normalised(value)
        return None if text is None else make(text.encode(), usedforsecurity=False).hexdigest()

    return hashed


def normaliser_of(kind: Kind, country_code: str = "") -> Encrypt:
    """The normalised value of an identity; None: nothing is left of it.

    E-mail: trimmed, lower case. Phone: the digits of E.164, without ``+``. All others: trimmed.
    """
    if kind == "email":
        return lambda value: value.strip().lower() or None
    if kind == "phone":
        return lambda value: phone_digits(value, country_code)
    return lambda value: value.strip() or None


def phone_digits(value: str, country_code: str = "") -> str | None:
    """The digits of a phone number; None: it isn't one.

    Spaces, ``-``, ``.``, ``/`` and parentheses are taken out, and ``+`` or ``00`` before a country's code.
    Behind these ``(0)`` is taken out, too, and no code of a country begins with a zero. A number without
    them gets ``country_code`` in place of the zero that it may begin with.
    """
    text = value if value.isascii() else _as_ascii(value)
    digits = text.translate(_BETWEEN_DIGITS)
    if digits.startswith(("+", "00")):
        digits = _TRUNK.sub("", text).translate(_BETWEEN_DIGITS)
        digits = digits[1:] if digits.startswith("+") else digits[2:]
        if digits.startswith("0"):
            return None
    elif country_code:
        digits = country_code + digits.removeprefix("0")
    return digits if _PHONE.fullmatch(digits) else None


def _as_ascii(text: str) -> str:
    """Digits and signs of all scripts as ASCII has them, without what isn't seen."""
    known = unicodedata.normalize("NFKC", text)
    found = (each for each in known if unicodedata.category(each) not in _UNSEEN)
    return "".join(str(unicodedata.decimal(each, each)) for each in found)
