from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.main import cli, main
from app.publishing import check_beside_published
from rules.compile import PublishedAudience
from rules.parse import load_definitions, parse_definitions

RUN = CliRunner()
TWO = """\
audiences:
  - {id: keen, name: Keen, rule: {event: view, count: {gte: 2}, within: 1h}}
  - {id: buyer, name: Buyer, rule: {all: [{event: buy}, {attribute: country, eq: DE}]}}
"""


def test_definitions_are_checked_beside_those_they_do_not_replace() -> None:
    published = {
        each.id.encode(): PublishedAudience(each, 1, deleted=each.id == "gone")
        for each in load_definitions([("x", TWO + "  - {id: gone, name: Gone, rule: {event: buy}}\n")])
    }
    text = """\
audiences:
  - {id: a, name: Keen, rule: {event: a}}
  - {id: b, name: Buyer, rule: {event: a}}
  - {id: buyer, name: New buyer, rule: {event: a}}
  - {id: c, name: Gone, rule: {event: a}}
"""
    parsed, _ = parse_definitions(text, "new.yaml")
    assert [str(problem) for problem in check_beside_published(parsed, published)] == [
        "new.yaml:2:19: name 'Keen' is taken in project 'default' (at audiences[0].name) - "
        "first used at published audience 'keen'"
    ]


def test_apply_list_and_delete(
    broker: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", broker)
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", topic_prefix)
    file = tmp_path / "audiences.yaml"
    file.write_text(TWO)

    def told(*arguments: str) -> list[str]:
        result = RUN.invoke(cli, ["audiences", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    assert told("list") == ["no audience is published"]
    plan = [
        "created  default  keen   version 1",
        "created  default  buyer  version 1",
        "default/keen: new, counts from now on, without earlier events: "
        '{"event": "view", "count": {"gte": 2}, "within": "1h"}',
        'default/buyer: new, counts from now on, without earlier events: {"event": "buy"}',
    ]
    assert told("apply", str(file), "--dry-run") == [*plan, "dry run: nothing was published"]
    assert told("list") == ["no audience is published"]
    assert told("apply", str(file)) == plan
    assert told("apply", str(tmp_path)) == [
        "unchanged  default  keen   version 1",
        "unchanged  default  buyer  version 1",
    ]
    file.write_text(TWO.replace("Keen", "Very keen"))
    assert told("apply", str(file)) == [
        "changed    default  keen   version 2",
        "unchanged  default  buyer  version 1",
    ]
    assert told("list") == ["default  buyer  version 1  Buyer", "default  keen   version 2  Very keen"]
    assert told("delete", "keen") == ["deleted  default  keen  version 3"]
    assert told("list") == ["default  buyer  version 1  Buyer"]
    assert told("apply", str(file))[0] == "created    default  keen   version 4"


def test_nothing_is_published_or_deleted_when_a_part_is_wrong(
    broker: str,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", broker)
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", topic_prefix)
    file = tmp_path / "audiences.yaml"
    file.write_text(TWO)
    assert RUN.invoke(cli, ["audiences", "apply", str(file)]).exit_code == 0
    file.write_text(
        "audiences: [{id: new, name: New, rule: {event: a}}, {id: x, name: Keen, rule: {event: a}}]"
    )
    with pytest.raises(SystemExit, match="2"):
        main(["audiences", "apply", str(file)])
    assert "name 'Keen' is taken" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["audiences", "delete", "buyer", "ken"])
    assert capsys.readouterr().err == (
        "there is no audience 'ken' in project 'default'; did you mean 'keen'? allowed: buyer, keen\n"
    )
    assert len(RUN.invoke(cli, ["audiences", "list"]).stdout.splitlines()) == 2
