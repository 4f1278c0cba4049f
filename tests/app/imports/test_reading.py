"""From lines to native records: in every format, with their times, and what is refused of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.formats.native import read_record
from app.failures import CommandFailed
from app.imports.reading import Reading, TimedRecord, make_reading
from app.settings.tree import Settings, load_settings

SETTINGS = load_settings(environ={})


def read(
    lines: list[str], reading: Reading | None = None, after: int = 0
) -> tuple[list[TimedRecord], list[str]]:
    """Records, and the codes of bad lines with their numbers."""
    bad: list[str] = []
    reading = reading or make_reading(SETTINGS, None, None, None)
    taken = reading.records(
        [each.encode() + b"\n" for each in lines],
        after,
        lambda number, code, _: bad.append(f"{number} {code}"),
    )
    return [record for _, records in taken for record in records], bad


def test_the_timestamp_counts_before_the_time_and_values_stay_as_they_are() -> None:
    line = '{"user_id": 7, "event": "e", "time": 1000, "timestamp": "1970-01-01T00:00:02Z", "more": 1}'
    ((record,), bad) = read([f"  {line}  "])
    assert record == TimedRecord(2000, "7", line.encode())
    assert bad == []
    ((record,), _) = read(['{"user_id": "u", "event": "e", "time": 1.5, "properties": {"deep": {"a": []}}}'])
    assert record.timestamp == 1500


def test_of_a_list_each_record_is_one_with_its_own_time() -> None:
    batch = [
        {"user_id": "a", "event": "e", "time": 3},
        {"user_id": "b", "event": "e"},
        {"user_id": "c", "type": "profile", "set": {"x": 1}, "time": 9, "timestamp": 2},
    ]
    found, bad = read([json.dumps(batch), "[]"])
    assert [(each.timestamp, each.user_id) for each in found] == [(3000, "a"), (2000, "c")]
    assert [json.loads(each.value) for each in found] == [batch[0], batch[2]]
    assert bad == ["1 timestamp", "2 empty_batch"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "not_json"),
        ('{"user_id": "u", "event": "e"}', "timestamp"),
        ('{"user_id": "u", "event": "e", "time": "soon"}', "time"),
        ('{"user_id": "u", "event": "e", "time": 1, "timestamp": "soon"}', "timestamp"),
        ('{"user_id": "u", "event": "e", "time": "soon", "timestamp": 1}', "time"),
        ('{"user_id": "u", "event": "e", "time": -1}', "timestamp"),
        ('{"user_id": "", "event": "e", "time": 1}', "user_id"),
        ('{"user_id": "%s", "event": "e", "time": 1}' % ("u" * 513), "user_id"),
        ('{"user_id": "u", "time": 1}', "event"),
        ('{"user_id": "u", "type": "profile", "time": 1}', "empty_update"),
        ('{"user_id": "u", "type": "merge", "time": 1}', "invalid"),
        (
            '{"user_id": "u", "event": "e", "time": 1, "properties": {"x": "%s"}}' % ("x" * 600_000),
            "too_large",
        ),
    ],
)
def test_what_is_refused(line: str, code: str) -> None:
    assert read([line]) == ([], [f"1 {code}"])


def test_lines_before_the_new_ones_are_neither_read_nor_told() -> None:
    good = '{"user_id": "u", "event": "e", "time": 1}'
    found, bad = read(["{", good, "{", good], after=2)
    assert len(found) == 1
    assert bad == ["3 not_json"]
    csv = make_reading(SETTINGS, None, "csv", None)
    found, bad = read(["user_id,event,time", "a,e,1", "b,e,1,x,y", '"c\nd",e,1', "e,e,1"], csv, after=2)
    assert [each.user_id for each in found] == ["c\nd", "e"]
    assert bad == ["3 csv"]


def with_format(**given: object) -> Settings:
    formats = [{"topic": "turnstile.events", **given}]
    return load_settings(environ={"TURNSTILE_SOURCES__FORMATS": json.dumps(formats)})


@pytest.mark.parametrize(
    ("settings", "line", "expected"),
    [
        (
            with_format(format="sensors"),
            {"distinct_id": "u", "type": "profile_append", "time": 1000, "properties": {"tags": ["a"]}},
            {"user_id": "u", "type": "profile", "append": {"tags": ["a"]}},
        ),
        (
            with_format(format="sensors"),
            {"distinct_id": "u", "type": "profile_delete", "time": 1000, "properties": {}},
            {"user_id": "u", "type": "profile", "unset_all": True},
        ),
        (
            with_format(
                format="mapping", mapping={"user_id": "who", "event": {"constant": "e"}, "time": "at"}
            ),
            {"who": "u", "at": 1000},
            {"user_id": "u", "event": "e"},
        ),
    ],
)
def test_other_formats_become_native_records_that_say_the_same(
    settings: Settings, line: dict[str, object], expected: dict[str, object]
) -> None:
    reading = make_reading(settings, "turnstile.events", None, None)
    ((record,), bad) = read([json.dumps(line)], reading)
    assert bad == []
    assert reading.format is not None
    (item,) = reading.format.read(json.dumps(line).encode(), None)  # type: ignore[arg-type]
    assert [read_record(record.value)] == list(item.records)  # type: ignore[arg-type]
    assert expected.items() <= json.loads(record.value).items()


def test_the_description_changes_with_what_is_read(tmp_path: Path) -> None:
    mappings = [{"user_id": name, "event": {"constant": "e"}, "time": "at"} for name in ("a", "b")]
    file = tmp_path / "mapping.yaml"
    file.write_text(json.dumps(mappings[0]))
    described = [
        make_reading(with_format(**given), "turnstile.events", None, None).description
        for given in (
            {"format": "segment"},
            {"format": "cloudevents"},
            {"format": "cloudevents", "data_format": "segment"},
            *({"format": "mapping", "mapping": each} for each in mappings),
        )
    ]
    described.append(make_reading(SETTINGS, None, "csv", None).description)
    described.append(make_reading(SETTINGS, None, "csv", ["user_id=who"]).description)
    assert len(set(described)) == len(described)
    by_file = with_format(format="mapping", mapping_file=str(file))
    assert make_reading(by_file, "turnstile.events", None, None).format is not None


def test_options_that_do_not_fit_are_told() -> None:
    with pytest.raises(CommandFailed, match="--column is for --format csv"):
        make_reading(SETTINGS, None, None, ["user_id=a"])
    with pytest.raises(CommandFailed, match=r"segmnt.*or csv"):
        make_reading(SETTINGS, None, "segmnt", None)
