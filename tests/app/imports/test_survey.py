"""What a file is by its content: packed or not, whole or cut short, grown, or the same as another one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from agents.backfill.history.imports import Import, ImportedFile
from app.failures import CommandFailed
from app.imports import content
from app.imports.content import ContentCut, lines_of, unpacked
from app.imports.places import local_files
from app.imports.planning import HistoryTopic, Plan, import_id, plan
from app.imports.reading import Reading, make_reading
from app.imports.survey import Surveyed, survey, survey_all
from app.settings.tree import load_settings

SETTINGS = load_settings(environ={})
NATIVE = make_reading(SETTINGS, None, None, None)
CSV = make_reading(SETTINGS, None, "csv", None)
TOPIC = HistoryTopic("h", "ab", 4)
LINES = [b'{"user_id":"u%d","event":"e","time":%d}\n' % (each, 10**12 + each) for each in range(6)]


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Surveyed]:
    def look(
        data: bytes, lengths: tuple[int, ...] = (), reading: Reading = NATIVE, name: str = "f"
    ) -> Surveyed:
        (tmp_path / name).write_bytes(data)
        (file,) = local_files(str(tmp_path / name))
        return survey(file, reading, lengths)

    return look


Look = Callable[..., Surveyed]


def test_a_file_is_known_by_its_content_however_it_is_packed(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "PIECE_BYTES", 7)
    data = b"".join(LINES)
    plain = look(data)
    assert (plain.bytes, plain.lines, plain.cut) == (len(data), 6, "")
    assert plain.first is not None
    assert plain.first.timestamp == 10**12
    for packed in (
        gzip.compress(data),
        gzip.compress(data[:50]) + gzip.compress(data[50:]),
        zstandard.compress(data),
        zstandard.compress(data[:50]) + zstandard.compress(data[50:]),
    ):
        other = look(packed)
        assert (other.sha256, other.bytes, other.lines) == (plain.sha256, plain.bytes, plain.lines)


def test_the_digests_of_starts_are_those_of_files_that_end_there(look: Look) -> None:
    data = b"".join(LINES)
    lengths = (len(LINES[0]), len(data) - 3, len(data), len(data) + 1)
    whole = look(data, lengths)
    assert sorted(whole.starts) == sorted(lengths[:3])
    assert whole.starts[lengths[0]] == look(LINES[0]).sha256
    assert whole.starts[lengths[2]] == whole.sha256
    assert whole.starts_with(lengths[0], look(LINES[0]).sha256)
    assert not whole.starts_with(lengths[0], whole.sha256)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_packed_data_that_is_cut_short_is_read_up_to_there(
    look: Look, pack: Callable[[bytes], bytes]
) -> None:
    data = b"".join(
        b'{"user_id":"u%d","event":"e","time":%d}\n' % (each, each * 7919) for each in range(9_000)
    )
    packed = pack(data)
    found = look(packed[: len(packed) * 2 // 3])
    assert "cut short or broken" in found.cut
    assert 0 < found.lines < 9_000
    assert found.bytes == sum(len(each) for each in data.splitlines(keepends=True)[: found.lines])
    assert look(data, (found.bytes,)).starts_with(found.bytes, found.sha256)


def test_a_last_line_without_an_end_counts_if_it_can_be_read(look: Look) -> None:
    data = b"".join(LINES)
    whole = look(data.rstrip())
    assert (whole.bytes, whole.lines, whole.cut) == (len(data) - 1, 6, "")
    half = look(data[:-5])
    assert (half.bytes, half.lines, half.sha256) == (
        len(data) - len(LINES[-1]),
        5,
        look(b"".join(LINES[:5])).sha256,
    )
    assert "cut short" in half.cut
    empty = look(b"")
    assert (empty.bytes, empty.lines, empty.first, empty.cut) == (0, 0, None, "")
    assert look(b"\n\n").first is None


def test_of_csv_a_last_row_without_an_end_counts_if_it_has_all_cells(look: Look) -> None:
    header, row = b"user_id,event,time,price\n", b"u,e,1000,2\n"
    assert look(header + row, reading=CSV).lines == 2
    assert look(header + row.rstrip(), reading=CSV).lines == 2
    half = look(header + row + b"u,e,10", reading=CSV)
    assert (half.lines, bool(half.cut)) == (2, True)


def test_a_line_that_is_too_long_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_LINE_BYTES", 10)
    told: list[int] = []
    pieces = iter([b"12345678", b"90ab\nshort\r\n0123456789", b"0\n", b"end"])
    assert list(lines_of(pieces, lambda number, *_: told.append(number))) == [
        b"\n",
        b"short\r\n",
        b"\n",
        b"end",
    ]
    assert told == [1, 3]


def test_broken_packed_data_is_no_end(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(gzip.compress(b"x" * 100)[:-8] + b"12345678")
    (file,) = local_files(str(tmp_path / "f"))
    with pytest.raises(ContentCut):
        list(unpacked(file))


# -- what is to be imported ------------------------------------------------------------------------------


def planned(
    files: list[Surveyed], imports: list[Import], reading: str = "native", abandon: bool = False
) -> Plan:
    return plan(files, TOPIC, imports, reading, abandon)


def made(found: Plan, state: str = "done", at: int = 0) -> Import:
    """The import of a plan, as it lies on the topic."""
    each = found.imports[at]
    parts = tuple(file.part for file in each.files)
    return Import(each.id, "h", "ab", state, "native", parts, (), 5, 5)  # type: ignore[arg-type]


def parts(found: Plan) -> list[list[tuple[int, int, int]]]:
    return [
        [(file.part.from_lines, file.part.lines, file.part.bytes) for file in each.files]
        for each in found.imports
    ]


def test_what_was_imported_is_left_out_and_what_grew_is_taken_from_there(look: Look) -> None:
    start, whole = look(b"".join(LINES[:2])), b"".join(LINES)
    first = planned([start], [])
    assert parts(first) == [[(0, 2, start.bytes)]]
    done = [made(first)]
    assert planned([start], done).imports == []
    assert planned([start], done).known == [start]
    grown = look(whole, (start.bytes,))
    second = planned([grown], done)
    assert parts(second) == [[(2, 6, len(whole))]]
    assert second.imports[0].id != first.imports[0].id
    both = [*done, made(second)]
    assert planned([look(whole, (start.bytes, len(whole)))], both).imports == []


def test_an_import_has_the_same_id_whatever_the_files_are_called_and_in_whatever_order(look: Look) -> None:
    one, two = look(LINES[0] * 2, name="a"), look(LINES[1], name="b")
    again = look(LINES[1], name="c")
    assert planned([one, two], []).imports[0].id == planned([again, one], []).imports[0].id
    assert [each.part.name[-1] for each in planned([two, one], []).imports[0].files] == ["a", "b"]
    files = [each.part for each in planned([one, two], []).imports[0].files]
    ids = {
        import_id(topic, reading, files) for topic in (TOPIC, HistoryTopic("h", "cd", 4)) for reading in "xy"
    }
    assert len(ids) == 4


def test_files_of_one_command_that_begin_alike_are_each_taken_once(tmp_path: Path) -> None:
    for name, end in (("a", 6), ("b", 2), ("c", 6)):
        (tmp_path / name).write_bytes(b"".join(LINES[:end]))
    files = survey_all(local_files(str(tmp_path)), NATIVE, (), lambda _: None)
    found = planned(files, [])
    assert [[(file.part.from_lines, file.part.lines) for file in each.files] for each in found.imports] == [
        [(0, 2), (2, 6)]
    ]
    assert [each.file.name[-1] for each in found.known] == ["c"]


def test_an_import_that_is_not_complete_comes_first_with_its_own_files(look: Look) -> None:
    begun_file = look(b"".join(LINES[:2]), name="a")
    begun = made(planned([begun_file], []), "writing")
    grown, other = look(b"".join(LINES), (begun_file.bytes,), name="a"), look(LINES[5], name="b")
    found = planned([other, grown], [begun])
    assert parts(found) == [[(0, 2, begun_file.bytes)], [(2, 6, grown.bytes), (0, 1, other.bytes)]]
    assert [each.begun for each in found.imports] == [begun, None]
    with pytest.raises(CommandFailed, match=r"isn't complete. Give its files again.*/a"):
        planned([other], [begun])
    with pytest.raises(CommandFailed, match="it read them as native, not as segment"):
        planned([grown], [begun], "segment")
    given_up = planned([other], [begun], abandon=True)
    assert given_up.abandoned == [begun]
    assert parts(given_up) == [[(0, 1, other.bytes)]]


def test_a_file_is_not_imported_in_two_readings(look: Look) -> None:
    file = look(LINES[0])
    with pytest.raises(CommandFailed, match="read as native, not as segment"):
        planned([file], [made(planned([file], []))], "segment")


def test_a_file_without_a_record_is_no_import(look: Look) -> None:
    assert planned([look(b"{\n{\n")], []).imports == []
    assert len(planned([look(b"{\n{\n")], []).empty) == 1


def test_a_part_of_a_file_is_described_for_the_topic(look: Look) -> None:
    file = look(LINES[0])
    (only,) = planned([file], []).imports[0].files
    assert only.part == ImportedFile(file.file.name, file.sha256, len(LINES[0]), 1, 10**12)
