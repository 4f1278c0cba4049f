"""Rows of a list, read back by the readers that others use."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agents.pushes.content.rows import Rows
from agents.pushes.contract.member import Member
from agents.pushes.contract.push import AttributeColumn, Content, IdColumn, RowFormat
from agents.pushes.contract.rows import read_frames

HOSTILE = [
    "a,b",
    'say "hi"',
    '"',
    "two\nlines",
    "two\r\nlines",
    "\r",
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "  padded  ",
    "ü€😀",
    "\ufeffbom",
    "x" * 10_240,
    "\t",
    "'",
    ";",
    "\\",
]
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_characters="\0", codec="utf-8")))
VALUES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.lists(TEXTS, max_size=2))


def label(name: str, column: str = "") -> AttributeColumn:
    return AttributeColumn(tuple(name.split(".")), column or name)


def member(user_id: str = "u1", identities: dict[str, str] | None = None, **attributes: object) -> Member:
    return Member(user_id, identities or {}, attributes, 1_790_000_000_000)


def read_csv(data: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True))


def as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(
    st.lists(st.tuples(TEXTS.filter(str.strip), VALUES, VALUES), min_size=1, max_size=4),
    st.sampled_from([",", ";", "\t", "|"]),
    st.booleans(),
)
def test_a_csv_reader_gets_each_value_as_it_was(
    rows: list[tuple[str, object, object]], delimiter: str, quote_all: bool
) -> None:
    content = Content(
        attributes=(label("a", "first, column"), label("b", 'the "b"')),
        format=RowFormat(delimiter=delimiter, quote_all=quote_all),
    )
    maker = Rows(content)
    made = maker.make([member(user, a=a, b=b) for user, a, b in rows])

    head, *found = read_csv(maker.header + made.data, delimiter)

    assert head == ["user_id", "encryption", "first, column", 'the "b"']
    assert found == [[user, "plain", as_text(a), as_text(b)] for user, a, b in rows]
    assert made.rows == len(rows)
    assert not made.refused


@given(st.lists(st.tuples(TEXTS.filter(str.strip), VALUES), min_size=1, max_size=4))
def test_json_gives_each_value_as_it_was(rows: list[tuple[str, object]]) -> None:
    content = Content(attributes=(label("a"),), format=RowFormat("jsonl", empty="null"))
    made = Rows(content).make([member(user, a=a) for user, a in rows])

    found = [json.loads(line) for line in made.data.split(b"\n")[:-1]]

    assert found == [
        {"user_id": user, "encryption": "plain", "a": None if a == "" else a} for user, a in rows
    ]


def test_a_value_that_csv_cannot_hold_is_refused_by_the_name_of_its_column() -> None:
    content = Content(attributes=(label("city", "town"),), encryption="")
    members = [member("u1", city="a\0b"), member("u2", city="\ud800"), member("u3", city="ok")]
    made = Rows(content).make(members)

    assert made.data == b"u3,ok\r\n"
    assert made.rows == 1
    assert sorted(made.refused.items()) == [
        ("invalid_text: a value has half a surrogate pair, which has no UTF-8", 1),
        ("nul: CSV can't hold the NUL in town", 1),
    ]
    assert "a\0b" not in str(made.refused)


def test_json_takes_nul_and_refuses_half_a_surrogate_pair() -> None:
    content = Content(attributes=(label("city"),), encryption="", format=RowFormat("jsonl"))
    made = Rows(content).make([member("u1", city="a\0b"), member("u2", city="\ud800")])

    assert json.loads(made.data) == {"user_id": "u1", "city": "a\0b"}
    assert dict(made.refused) == {"invalid_value: JSON can't hold the value of city": 1}


def test_each_id_of_a_member_is_a_row_and_users_without_it_are_counted() -> None:
    content = Content(
        ids=(IdColumn("idfa", "md5", column="IDFA"), IdColumn("oaid", column="OAID")),
        attributes=(label("city"),),
    )
    maker = Rows(content)
    made = maker.make(
        [
            member("u1", {"idfa": " AB-1 ", "oaid": "o1"}, city="Oslo"),
            member("u2", {"oaid": "o2"}, city="Bergen"),
            member("u3", {"idfa": "  "}),
        ]
    )

    assert read_csv(maker.header + made.data) == [
        ["id_type", "id", "encryption", "city"],
        ["IDFA", md5_of("AB-1"), "md5", "Oslo"],
        ["OAID", "o1", "plain", "Oslo"],
        ["OAID", "o2", "plain", "Bergen"],
    ]
    assert made.by_id == {"idfa": 1, "oaid": 2}
    assert made.without == {"idfa": 2, "oaid": 1}
    assert made.rows == sum(made.by_id.values()) == 3


def md5_of(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode()).hexdigest()


def test_records_for_kafka_are_framed_with_the_id_that_is_sent_as_key() -> None:
    content = Content(
        ids=(IdColumn("email", "sha256"),),
        attributes=(label("name", "nick"),),
        since="since",
        exit_at="until",
        format=RowFormat("kafka", empty="omit"),
    )
    made = Rows(content).make([member("secret-user", {"email": "A@b.c "}, name=""), member("u2")])

    ((key, value),) = read_frames(io.BytesIO(made.data))

    hashed = sha256_of("a@b.c")
    assert key.decode() == hashed
    assert json.loads(value) == {"email": hashed, "encryption": "sha256", "since": "2026-09-21T14:13:20.000Z"}
    assert b"secret-user" not in made.data
    assert made.without == {"email": 1}


def sha256_of(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def test_what_was_encrypted_before_goes_along_with_the_name_of_its_method() -> None:
    content = Content(ids=(IdColumn("mobile", "as_is", method="aes-256"),))
    maker = Rows(content)
    made = maker.make([member("u1", {"mobile": " 5fA= "})])

    assert maker.header + made.data == b"mobile,encryption\r\n 5fA= ,aes-256\r\n"


def test_empty_values_are_written_as_asked() -> None:
    content = Content(attributes=(label("a"), label("b.c")), encryption="", format=RowFormat("jsonl"))
    users = [member("u1", a="", b={"c": None}), member("u2")]

    def made(empty: str) -> list[object]:
        format = replace(content.format, empty=empty)  # type: ignore[arg-type]
        data = Rows(replace(content, format=format)).make(users).data
        return [json.loads(line) for line in data.splitlines()]

    assert made("empty")[0] == {"user_id": "u1", "a": "", "b.c": ""}
    assert made("null")[1] == {"user_id": "u2", "a": None, "b.c": None}
    assert made("omit") == [{"user_id": "u1"}, {"user_id": "u2"}]


def test_the_header_and_the_byte_order_mark_are_as_asked() -> None:
    def header(**options: bool) -> bytes:
        return Rows(Content(format=RowFormat(**options))).header

    assert header() == b"user_id,encryption\r\n"
    assert header(bom=True) == b"\xef\xbb\xbfuser_id,encryption\r\n"
    assert header(header=False) == b""
    assert header(quote_all=True) == b'"user_id","encryption"\r\n'


def test_id_types_that_differ_only_in_what_they_are_called_are_counted_apart() -> None:
    german = IdColumn("mobile", "md5", column="german", country_code="49")
    ids = (IdColumn("mobile", "plain"), IdColumn("mobile", "md5", column="mobile"), german)
    made = Rows(Content(ids)).make([member("a", {"mobile": "170 1"}), member("b")])
    assert made.by_id == {"mobile/plain": 1, "mobile/md5/mobile": 0, "mobile/md5/german": 1}
    assert made.without == {"mobile/plain": 1, "mobile/md5/mobile": 2, "mobile/md5/german": 1}
    assert made.rows == sum(made.by_id.values())
