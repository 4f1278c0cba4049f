"""Definitions of pushes: read, or refused with every problem at once; schedules become cron expressions."""

from __future__ import annotations

import pytest

from agents.pushes.contract.parse import load_published, load_pushes
from agents.pushes.contract.push import AttributeColumn, IdColumn, Push, RowFormat, Schedule
from rules.parse.problems import DefinitionsInvalid

BUYERS = """
name: buyers-nightly
project: shop
audience: buyers
connection: warehouse
description: for the store
labels: [crm, night]
target: {folder: lists/buyers, notify: {path: /done}}
schedule: {every: weekly, at: "08:30", on: [monday, friday], timezone: Asia/Shanghai, start: 2026-12-01,
  end: 2027-01-01, missed: skip, overlap: skip}
content:
  ids: [user_id, {type: mobile, encryption: md5, column: phone}, {type: card, encryption: as_is, method: rc4}]
  attributes: [city, {attribute: profile.tier, alias: level}]
  since: entered
  format: {kind: csv, gzip: true, delimiter: ";", header: false}
max_ids: 5000
enabled: false
"""
LEAST = "{name: p, audience: a, connection: c}"


def push(text: str) -> Push:
    (found,) = load_pushes([("pushes.yml", text)])
    return found


def problems(text: str) -> list[str]:
    with pytest.raises(DefinitionsInvalid) as raised:
        load_pushes([("pushes.yml", text)])
    return [str(each) for each in raised.value.problems]


def test_everything_of_a_definition_is_read() -> None:
    found = push(BUYERS)
    assert (found.key, found.audience, found.connection) == ("shop/buyers-nightly", "buyers", "warehouse")
    assert found.target == {"folder": "lists/buyers", "notify": {"path": "/done"}}
    midnight_ms = 1_796_054_400_000  # of 1 December 2026 in Shanghai
    year_ms = midnight_ms + 31 * 86_400_000
    assert found.schedule == Schedule(
        "weekly", "30 8 * * mon,fri", "Asia/Shanghai", midnight_ms, year_ms, "skip", "skip"
    )
    phone, card = IdColumn("mobile", "md5", "", "phone"), IdColumn("card", "as_is", "rc4", "card")
    assert found.content.ids == (IdColumn("user_id", column="user_id"), phone, card)
    level = AttributeColumn(("profile", "tier"), "level")
    assert found.content.attributes == (AttributeColumn(("city",), "city"), level)
    assert found.content.format == RowFormat("csv", gzip=True, header=False, delimiter=";")
    assert (found.max_ids, found.enabled, found.labels) == (5000, False, ("crm", "night"))


def test_what_isn_t_said_is_one_list_of_user_ids_at_once() -> None:
    found = push(LEAST)
    assert found.schedule == Schedule("once")
    assert found.content.ids == (IdColumn("user_id", column="user_id"),)
    assert (found.max_ids, found.enabled) == (10_000_000, True)


@pytest.mark.parametrize(
    ("written", "cron"),
    [
        ("hourly", "0 * * * *"),
        ("daily", "0 0 * * *"),
        ('{every: hourly, at: ":15"}', "15 * * * *"),
        ('{every: daily, at: "23:05"}', "5 23 * * *"),
        ("{every: weekly}", "0 0 * * mon"),
        ("{every: monthly, on: [1, 15, last]}", "0 0 1,15,L * *"),
        ('"0 6 * * mon-fri"', "0 6 * * mon-fri"),
        ('{cron: "*/5 * * * *", timezone: Europe/Berlin}', "*/5 * * * *"),
    ],
)
def test_each_way_to_write_a_schedule_becomes_a_cron_expression(written: str, cron: str) -> None:
    assert push(f"{{name: p, audience: a, connection: c, schedule: {written}}}").schedule.cron == cron


def test_all_mistakes_are_told_at_once_each_with_its_place_and_the_nearest_name() -> None:
    attributes = ", ".join(f"a{n}" for n in range(31))
    found = problems(
        "name: a b\n"
        "audiense: x\n"
        "schedule: {every: montly, on: 31, timezone: Asia/Shangai}\n"
        "content:\n"
        "  ids: [{type: m, encryption: rot13}, {type: d, encryption: as_is}, {type: e, method: x}]\n"
        f"  attributes: [{attributes}]\n"
        "  format: {kind: jsonl, header: true}\n"
        "max_ids: 0\n"
    )
    told = "\n".join(found)
    for each in (
        "pushes.yml:1:7: name must be",
        "did you mean 'audience'?",
        "a push needs 'connection'",
        "did you mean 'monthly'?",
        "did you mean 'Asia/Shanghai'?",
        "unknown encryption 'rot13'",
        "as_is needs 'method'",
        "'method' has no effect",
        "there are 31 attributes, and a push takes 30",
        "'header' is for csv, and this is jsonl",
        "max_ids must be a whole number",
    ):
        assert each in told, told


def test_columns_and_names_that_are_there_twice_are_refused() -> None:
    content = "{ids: [mobile], attributes: [{attribute: city, alias: mobile}]}"
    twice = f"{{name: p, audience: a, connection: c, content: {content}}}"
    assert "column 'mobile' is there twice" in problems(twice)[0]
    assert "name 'p' is taken in project default" in problems(f"{{pushes: [{LEAST}, {LEAST}]}}")[0]


def test_days_that_some_months_lack_are_refused() -> None:
    (told,) = problems("{name: p, audience: a, connection: c, schedule: {every: monthly, on: 30}}")
    assert "from 1 to 28" in told


def test_what_was_published_is_read_as_it_was() -> None:
    assert load_published(BUYERS, "topic") == push(BUYERS)


def content_problems(content: str) -> str:
    return " ".join(problems(f"{{name: p, audience: a, connection: c, content: {content}}}"))


def test_columns_of_ids_can_be_named_and_ids_say_how_they_are_normalised() -> None:
    content = push(
        "{name: p, audience: a, connection: c, content: {id: number, id_type: kind, encryption: false, "
        "ids: [{type: work, encryption: sha256, kind: phone, country_code: '86'}]}}"
    ).content
    assert content.ids == (IdColumn("work", "sha256", "", "work", "phone", "86"),)
    assert (content.id, content.id_type, content.encryption) == ("number", "kind", "")


def test_several_ids_need_names_and_a_column_that_tells_them_apart() -> None:
    assert "id 'idfa' is there twice" in content_problems("{ids: [idfa, {type: idfa, encryption: md5}]}")
    assert "several ids need a column" in content_problems("{ids: [a, b], id_type: false}")
    assert "column 'id' is there twice" in content_problems("{ids: [a, b], attributes: [id]}")


def test_country_codes_and_names_of_columns_are_checked() -> None:
    code = "{ids: [{type: mobile, encryption: md5, country_code: '+86'}]}"
    assert "'+86' is no country code" in content_problems(code)
    assert "has no effect" in content_problems("{ids: [{type: mobile, country_code: '86'}]}")
    assert "control character" in content_problems('{attributes: [{attribute: a, alias: "x\\ny"}]}')


def test_an_unknown_kind_of_schedule_is_one_fault_and_what_stands_beside_it_is_none() -> None:
    (told,) = problems(
        LEAST[:-1] + ', schedule: {every: dayly, at: "08:30", end: 2027-01-01, overlap: skip}}'
    )
    assert "unknown every 'dayly'" in told
