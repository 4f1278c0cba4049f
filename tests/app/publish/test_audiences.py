from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.main import main
from app.publish.audiences import check_beside_published, check_deletion
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions, parse_definitions

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


def published_of(text: str, gone: str = "") -> dict[bytes, PublishedAudience]:
    parsed, problems = parse_definitions(text, "x")
    assert problems == []
    audiences = [each.audience for each in parsed]
    return {each.id.encode(): PublishedAudience(each, 1, deleted=each.id == gone) for each in audiences}


def beside(text: str, published: dict[bytes, PublishedAudience]) -> list[str]:
    parsed, problems = parse_definitions(text, "new.yaml")
    assert problems == []
    return [str(problem) for problem in check_beside_published(parsed, published)]


USING = "audiences: [{id: vip, name: Vip, rule: {audience: keen}}, {id: keen, name: Keen, rule: {event: a}}]"


def test_definitions_may_speak_of_published_ones() -> None:
    text = "{id: new, name: New, rule: {any: [{audience: vip}, {event: a, within: {audience: keen}}]}}"
    assert beside(text, published_of(USING)) == []
    assert beside(text, published_of(USING, gone="keen"))[-1] == (
        "new.yaml:1:82: new -> keen: audience 'keen' was deleted in project 'default'"
        " (at rule.any[1].within.audience) - allowed: vip"
    )


def test_a_circle_through_published_audiences_is_told_in_the_file_that_closes_it() -> None:
    assert beside("{id: keen, name: Keen, rule: {not: {audience: vip}}}", published_of(USING)) == [
        "new.yaml:1:47: audiences speak of one another in a circle: vip -> keen -> vip"
        " (at rule.not.audience) - take one of these references out"
    ]


def test_an_audience_that_others_speak_of_cannot_be_deleted_without_them() -> None:
    published = published_of(USING)
    assert check_deletion(["keen"], "default", published) == [
        "audience 'keen' is part of the rule of 'vip': delete or change that first"
    ]
    assert check_deletion(["keen", "vip"], "default", published) == []
    assert check_deletion(["vip"], "default", published) == []
    assert check_deletion(["keen"], "other", published) == []
    assert check_deletion(["keen"], "default", published_of(USING, gone="vip")) == []


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
    assert RUN.invoke(cli, ["audiences", "apply", "--yes", "--no-wait", str(file)]).exit_code == 0
    file.write_text(
        "audiences: [{id: new, name: New, rule: {event: a}}, {id: x, name: Keen, rule: {event: a}}]"
    )
    with pytest.raises(SystemExit, match="2"):
        main(["audiences", "apply", "--yes", "--no-wait", str(file)])
    assert "name 'Keen' is taken" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["audiences", "delete", "buyer", "ken"])
    assert capsys.readouterr().err == (
        "there is no audience 'ken' in project 'default'; did you mean 'keen'? allowed: buyer, keen\n"
    )
    assert len(RUN.invoke(cli, ["audiences", "list"]).stdout.splitlines()) == 3
    file.write_text("{id: vip, name: Vip, rule: {audience: keen, for: 7d}}")
    assert RUN.invoke(cli, ["audiences", "apply", "--yes", "--no-wait", str(file)]).exit_code == 0
    with pytest.raises(SystemExit, match="2"):
        main(["audiences", "delete", "keen"])
    assert capsys.readouterr().err == (
        "audience 'keen' is part of the rule of 'vip': delete or change that first\n"
    )
    assert RUN.invoke(cli, ["audiences", "delete", "--yes", "keen", "vip"]).exit_code == 0
