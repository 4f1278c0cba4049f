from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.simulate.case_report import offset
from rules.cases.parse import parse_cases
from tests import ROOT

DOCS = ROOT / "docs" / "testing-audiences.md"
CASES = Path(__file__).parent / "cases"
RUN = CliRunner()
CART = """
id: cart_abandoners
name: Cart abandoners
rule:
  all:
    - {event: add_to_cart, where: {price: {gte: 50}}, within: 1h}
    - not: {event: purchase, within: 1h}
"""
OF_DOCS = """
id: cart_abandoners
name: Cart abandoners
rule:
  event: add_to_cart
  where: {price: {gte: 50}}
  not_followed_by: {event: purchase}
  for: 1h
  still: true
  within: 1d
"""
HEAD = """
files: [cart.yaml]
cases:
  - name: the case
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cart.yaml").write_text(CART)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(text: str, name: str = "c.yaml") -> tuple[int, list[str], list[str]]:
    Path(name).write_text(text)
    result = RUN.invoke(cli, ["test", name])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()


def run_case(text: str) -> tuple[int, list[str]]:
    code, out, errors = run(HEAD + text)
    assert errors == []
    return code, out


def problems(text: str) -> list[str]:
    _, found = parse_cases(text, "c.yaml", 1000)
    return [f"{each.code}: {each}" for each in found]


def test_the_case_in_the_docs_passes_and_so_does_one_in_json() -> None:
    blocks = DOCS.read_text().split("```")
    Path("cart_abandoners.yaml").write_text(OF_DOCS)
    code, out, _ = run(blocks[1].removeprefix("yaml\n"), "cart.cases.yaml")
    assert ["$ turnstile test cart.cases.yaml", *out] == blocks[3].strip().splitlines()
    assert code == 0
    json = '{"files": ["cart.yaml"], "cases": [{"name": "none", "events": [], "transitions": []}]}'
    assert run(json, "c.json")[:2] == (0, ["ok   c.json:1 none", "1 case, 0 failed"])


def test_what_differs_stands_side_by_side_in_order_of_time() -> None:
    code, out, _ = run((CASES / "differs.yaml").read_text())
    assert code == 1
    assert out == (CASES / "differs.out").read_text().splitlines()


def test_a_case_may_look_at_some_audiences_and_some_users() -> None:
    code, out = run_case("""
    only: [cart_abandoners]
    user_id: ann
    events:
      - {event: add_to_cart, properties: {price: 60}}
      - {at: +1m, user_id: bob, event: add_to_cart, properties: {price: 60}}
    expect:
      - {at: +0, in: cart_abandoners}
      - {at: +0, user_id: bob, not_in: [cart_abandoners]}
    transitions:
      - {at: +0, enter: cart_abandoners}
      - {at: +1m, user_id: bob, enter: cart_abandoners}
""")
    assert (code, out[-1]) == (0, "1 case, 0 failed")


def test_the_clock_stops_where_the_case_says() -> None:
    case = """
    events:
      - {event: add_to_cart, properties: {price: 60}}
    transitions:
      - {at: +0, enter: cart_abandoners}
    until: """
    assert run_case(case + "+59m59s999ms")[0] == 0
    code, out = run_case(case + "+1h")
    assert code == 1
    assert out[-2].endswith("-                      exit cart_abandoners")


def test_every_detail_that_is_given_is_compared() -> None:
    details = {
        "seq": ("1", "2"),
        "cause": ("event", "time"),
        "trigger": ("{event: add_to_cart, id: e1, time: +0}", "{id: e2}"),
        "entered_at": ("+0", "+1ms"),
        "exit_at": ("+1h", "null"),
    }
    case = """
    events:
      - {{at: +0, event: add_to_cart, id: e1, properties: {{price: 60}}}}
    transitions:
      - {{at: +0, enter: cart_abandoners, {}: {}}}
"""
    for name, (right, wrong) in details.items():
        assert run_case(case.format(name, right))[0] == 0, name
        assert run_case(case.format(name, wrong))[0] == 1, name


def test_a_record_that_the_pipeline_refuses_fails_the_case_at_its_place() -> None:
    code, out = run_case("""
    events:
      - {event: add_to_cart, time: +0}
      - {event: 5}
    transitions: []
""")
    assert code == 1
    assert (
        out[1] == "     c.yaml:8:9: Expected `str | null`, got `int` - at `$.event` (at cases[0].events[1])"
    )


def test_records_are_of_the_project_of_the_audiences() -> None:
    Path("cart.yaml").write_text(CART + "project: shop\n")
    case = """
    events: [{event: add_to_cart, properties: {price: 50}}]
    expect: [{at: +0, in: cart_abandoners}]
"""
    assert run_case(case)[0] == 0


def test_every_problem_of_a_file_is_told_with_its_place() -> None:
    found = problems((CASES / "faulty.yaml").read_text())
    assert found == (CASES / "faulty.errors").read_text().splitlines()


def test_audiences_that_there_arent_are_told_with_the_nearest() -> None:
    code, out, errors = run(HEAD + "    expect: [{at: +1h, in: cart_abandonners}]\n")
    assert (code, out) == (1, [])
    assert errors == [
        "c.yaml:5:28: no audience 'cart_abandonners' (at cases[0].expect[0].in) - "
        "did you mean 'cart_abandoners'? allowed: cart_abandoners",
        "1 problem",
    ]


def test_files_that_arent_there_are_told_where_they_are_named() -> None:
    code, _, errors = run("files: [none.yaml]\ncases: []\n")
    assert (code, errors[0]) == (
        1,
        "c.yaml:1:9: none.yaml: can't be read: No such file or directory (at files)",
    )
    result = RUN.invoke(cli, ["test", "nowhere.yaml"])
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1,
        "nowhere.yaml:1:1: can't be read: No such file or directory",
    )


def test_offsets_are_told_as_cases_write_them() -> None:
    assert [offset(each) for each in (0, 1, -60_000, 90_061_001)] == ["+0", "+1ms", "-1m", "+1d1h1m1s1ms"]
