"""What is drawn fits the terminal, whatever its size."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from app.demo.counts import CountedTransition, MemberCounts
from app.demo.frame import AudienceLine, Frame, lookup
from app.demo.report import DemoResult, print_serving, print_summary, progress_line
from app.demo.view import bars, draw


def transition(seq: int, event: str = "enter", user_id: str = "00499") -> CountedTransition:
    return CountedTransition(event, "loyal", user_id, seq, "1997-03-01T10:00:00.000Z", "event", None)


def frame() -> Frame:
    lines = [
        AudienceLine(f"a_{number}", f"Audience {number}", 1000 + number, 2000, 999, [0, 5, 9])
        for number in range(11)
    ]
    latest = [transition(number + 1) for number in range(50)]
    names = {"loyal": "Loyal"}
    url, state = "http://127.0.0.1:6066", "ready"
    return Frame(
        870_000_000_000,
        0.4,
        12_345,
        20_000,
        1_234.5,
        54_321,
        999.4,
        7,
        0,
        state,
        lines,
        latest,
        names,
        url,
        "00499",
    )


def drawn(width: int, height: int, shown: Frame | None = None) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=False)
    console.print(draw(shown or frame(), width, height))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("width", "height"),
    [(80, 24), (100, 20), (140, 50), (200, 60), (60, 20), (60, 30), (126, 24), (127, 16), (40, 24), (30, 10)],
)
def test_the_view_fits(width: int, height: int) -> None:
    lines = drawn(width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) == height
    text = "\n".join(lines)
    assert "1997-07-27" in text
    assert "1,000" in text
    assert "Ctrl-C" in text
    if width >= 60:
        assert "12,345 purchases" in text
        assert "2,000" in text
        assert lookup(frame()) in text
        assert "1997-03-01 10:00" in text
        assert "▁▄█ members over time" in text
        assert "…" not in text  # nothing is cut


@pytest.mark.parametrize(
    ("width", "height", "least"), [(60, 20, 2), (80, 24, 5), (100, 20, 3), (80, 30, 8), (200, 60, 18)]
)
def test_transitions_are_seen_and_all_audiences(width: int, height: int, least: int) -> None:
    text = "\n".join(drawn(width, height))
    assert text.count("00499 enter Loyal") >= least
    assert "Audience 10" in text


def test_a_low_terminal_says_how_many_audiences_it_leaves_out() -> None:
    text = "\n".join(drawn(80, 12))
    assert "Audience 4" in text
    assert "Audience 5" not in text
    assert "and 6 more" in text


def test_the_head_is_never_cut_and_goes_on_in_the_next_line() -> None:
    long = replace(
        frame(), purchases=67_591, transitions=1_234_567, transition_rate=12_345.0, dead_letters=12
    )
    head = " ".join(" ".join(drawn(60, 24, long)[:5]).split())
    assert "67,591 purchases 1,234 records/s 1,234,567 transitions 12,345/s lag 7 worker ready" in head
    assert "12 dead letters" in head


@pytest.mark.parametrize(
    ("members", "width", "wanted"),
    [
        ([], 36, ""),
        ([0, 0], 36, "▁▁"),
        ([0, 5, 9], 36, "▁▅█"),
        (list(range(36)), 36, "▁▁▁▁▁▂▂▂▂▃▃▃▃▃▄▄▄▄▅▅▅▅▅▆▆▆▆▇▇▇▇▇████"),
        (list(range(36)), 9, "▁▂▃▄▅▆▇▇█"),
        ([*range(35), 0], 9, "▁▂▃▄▅▆▇█▁"),
    ],
)
def test_bars_end_with_the_latest_date_however_narrow(members: list[int], width: int, wanted: str) -> None:
    shown = bars(members, width)
    assert len(shown) <= width
    assert shown == wanted


def test_plain_text() -> None:
    assert progress_line(frame()) == (
        "1997-07-27   40%  12,345 purchases  1,234 records/s  54,321 transitions  999/s  lag 7  worker ready"
    )
    out = io.StringIO()
    console = Console(file=out)
    print_summary(console, frame(), DemoResult(True, 10.0, 12_345, 678, 852_076_800_000, 0, 0))
    print_serving(console, frame(), "demo.transitions", "127.0.0.1:15001")
    text = out.getvalue()
    assert "12,345 purchases of 678 customers, 1997-01-01 to 1997-07-27; 20,000 records evaluated" in text
    assert "54,321 transitions, numbered without a gap; 0 dead letters" in text
    assert "10.0 seconds: 2,000 records/s, 5,432 transitions/s" in text
    assert f"  {lookup(frame())}\n" in text
    assert "Audience 10 " in text
    assert "the topic demo.transitions of Kafka at 127.0.0.1:15001;" in text
    assert "a_10" not in text  # names, not ids


def test_a_transition_that_comes_again_counts_once() -> None:
    counts = MemberCounts(["loyal"])
    for each in (transition(1), transition(1), transition(2, "exit"), transition(1, user_id="00001")):
        counts.take(each)
    assert (counts.members["loyal"], counts.enters["loyal"], counts.exits["loyal"]) == (1, 2, 1)
    assert (counts.repeated, counts.missing, counts.transitions) == (1, 0, 3)


def test_a_skipped_number_is_noticed() -> None:
    counts = MemberCounts(["loyal"])
    counts.take(transition(1))
    counts.take(transition(3))
    assert counts.missing == 1
