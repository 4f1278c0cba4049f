"""Ids as they are sent."""

from __future__ import annotations

import hashlib

import pytest

from agents.pushes.content.encryption import encrypter_of, phone_digits
from agents.pushes.contract.push import IdColumn


@pytest.mark.parametrize(
    ("written", "country_code", "digits"),
    [
        ("+86 138-0013-8000", "", "8613800138000"),
        ("0086 138 0013 8000", "49", "8613800138000"),
        ("13800138000", "", "13800138000"),
        ("13800138000", "86", "8613800138000"),
        ("0171/123 45.67", "49", "491711234567"),
        ("(415) 555\u00a00100", "1", "14155550100"),
        ("＋８６13800138000", "", "8613800138000"),
        ("not a number", "", None),
        ("+123456789012345678", "", None),
        ("", "86", None),
        ("+86;138", "", None),
        ("+49 (0)171 1234567", "", "491711234567"),
        ("0049 (0) 171 1234567", "86", "491711234567"),
        ("(0)171 1234567", "49", "491711234567"),
        ("+ 86 138 0013 8000\r\n", "", "8613800138000"),
        ("+0086 13800138000", "", None),
        ("000171 1234567", "", None),
        ("++8613800138000", "", None),
        ("+86 138+0013 8000", "", None),
        ("tel:+8613800138000", "", None),
        ("+8613800138000 ext. 5", "", None),
        ("\u202a+86\u2011138\u20130013\u22128000\u202c", "", "8613800138000"),
        ("\u3000138\u20090013\u00ad8000", "86", "8613800138000"),
        ("\u0661\u0663\u0668\u0660\u0660\u0661\u0663\u0668\u0660\u0660\u0660", "86", "8613800138000"),
        ("138001380①", "", "1380013801"),
        ("\ud800138", "", None),
        ("1" * 10_240, "", None),
        ("=+8613800138000", "", None),
    ],
)
def test_phone_numbers_are_their_digits(written: str, country_code: str, digits: str | None) -> None:
    assert phone_digits(written, country_code) == digits


@pytest.mark.parametrize(
    ("written", "hashed"),
    [
        (" A+Tag@B.Example\n", "a+tag@b.example"),
        ("\u3000ÅSE@ØST.example", "åse@øst.example"),
        ("a\u0301@b.example", "a\u0301@b.example"),  # one mark or two: no receiver makes them the same
        ("=A@b.example", "=a@b.example"),
        ('"a b"@c.example', '"a b"@c.example'),
        ("a.b@gmail.com", "a.b@gmail.com"),
        ("\u200ba@b.example", "\u200ba@b.example"),
        ("x" * 10_240 + "@B.example", "x" * 10_240 + "@b.example"),
    ],
)
def test_an_email_is_trimmed_and_in_lower_case_and_nothing_else(written: str, hashed: str) -> None:
    for type in ("email", "Email", "E_MAIL"):
        for method, make in (("md5", hashlib.md5), ("sha256", hashlib.sha256)):
            assert encrypter_of(IdColumn(type, method))(written) == make(hashed.encode()).hexdigest()  # type: ignore[arg-type]


# The hashes are those of RFC 1321 and FIPS 180-2: of "abc", and of nothing but it.
@pytest.mark.parametrize(
    ("id", "value", "sent"),
    [
        (IdColumn("email", "md5"), " ABC ", "900150983cd24fb0d6963f7d28e17f72"),
        (IdColumn("imei", "md5"), " abc\n", "900150983cd24fb0d6963f7d28e17f72"),
        (IdColumn("imei", "md5"), "ABC", "902fbdd2b1df0c4f70b4a5d23525e932"),
        (
            IdColumn("work", "sha256", kind="email"),
            "ABC",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (IdColumn("email"), " A@B.C ", " A@B.C "),
        (IdColumn("email", "as_is", method="aes"), "xyz=", "xyz="),
        (IdColumn("email"), "  ", None),
        (IdColumn("email", "md5"), "  ", None),
        (IdColumn("mobile", "md5"), "none", None),
        (IdColumn("email"), "", None),
    ],
)
def test_an_id_is_sent_as_its_encryption_says(id: IdColumn, value: str, sent: str | None) -> None:
    assert encrypter_of(id)(value) == sent
