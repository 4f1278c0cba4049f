"""What systems take of a push, and that a push which doesn't fit is refused with every reason."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from agents.pushes.content.rows import Rows
from agents.pushes.contract.member import Member
from agents.pushes.contract.parse import load_pushes
from agents.pushes.contract.push import AttributeColumn, IdColumn, Push, RowFormat, Schedule
from agents.pushes.profiles.profiles import profile_problems, profiles
from app.commands.operating.push import cli

IDENTITIES = {
    "mobile": "13800138000",
    "maiscrm_id": "m-1",
    "idfa": "AEBE52E7-03EE-455A-B3C4-E57283966239",
    "imei": "490154203237518",
    "oaid": "1fe9a970efdf7e2c",
}


def push_of(name: str) -> Push:
    """The definition that a profile ships."""
    (found,) = load_pushes([(f"{name}.yaml", json.dumps(profiles()[name].push))])
    return found


def list_of(name: str) -> list[list[str]]:
    maker = Rows(push_of(name).content)
    made = maker.make([Member("u1", IDENTITIES, {"tier": "gold"}, 0)])
    return list(csv.reader(io.StringIO((maker.header + made.data).decode(), newline=""), strict=True))


def test_all_systems_of_the_source_document_are_there() -> None:
    expected = {"data_bank", "damengpan", "social_interaction", "retail_crm", "media_placement"}
    assert profiles().keys() == expected


@pytest.mark.parametrize("name", sorted(profiles()))
def test_the_definition_that_a_profile_ships_fits_it(name: str) -> None:
    assert profile_problems(push_of(name), name, {}) == ()
    assert profiles()[name].assumed


def test_lists_have_the_columns_of_their_system() -> None:
    assert list_of("social_interaction") == [["maiscrm_id", "level"], ["m-1", "gold"]]
    assert list_of("retail_crm") == [["mobile"], ["13800138000"]]
    assert list_of("media_placement") == [
        ["id_type", "id", "encryption"],
        ["IDFA", _md5(IDENTITIES["idfa"]), "md5"],
        ["IMEI", _md5(IDENTITIES["imei"]), "md5"],
        ["OAID", _md5(IDENTITIES["oaid"]), "md5"],
    ]


def _md5(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode()).hexdigest()


def test_all_that_does_not_fit_is_told_at_once() -> None:
    push = push_of("media_placement")
    content = replace(
        push.content,
        ids=(
            IdColumn("idfa", "md5", column="IDFA"),
            IdColumn("imei", column="imei"),
            IdColumn("oai", "sha256"),
        ),
        attributes=(AttributeColumn(("tier",), "tier"),),
        format=RowFormat("kafka"),
    )
    wrong = replace(push, content=content, schedule=Schedule("hourly"), target={})
    assert profile_problems(wrong, "media_placement", {"tier": "media_placement"}) == (
        "Media Placement has imei as IMEI, not as imei: give it that column",
        "Media Placement doesn't take the id type oai; did you mean 'oaid'? allowed: idfa, imei, oaid",
        "Media Placement takes one encryption a push, not md5 and plain and sha256",
        "Media Placement takes ids alone, no attributes",
        "tier came from Media Placement, so it isn't pushed back there",
        "Media Placement takes files of the format csv or jsonl, not kafka",
        "Media Placement fetches a list when it is told of it: target.notify names its webhook",
        "Media Placement takes lists once, daily, weekly, monthly, not hourly",
    )


@pytest.mark.parametrize("name", ["data_bank", "damengpan"])
def test_systems_beside_the_modules_take_csv_alone_and_need_not_be_told(name: str) -> None:
    push = push_of(name)
    assert "notify" not in push.target
    lines = replace(push, content=replace(push.content, format=RowFormat("jsonl")))
    (told,) = profile_problems(lines, name, {})
    assert told.endswith("takes files of the format csv, not jsonl")


def test_labels_of_other_systems_go_to_social_interaction() -> None:
    push = push_of("social_interaction")
    assert profile_problems(push, "social_interaction", {"tier": "retail_crm"}) == ()
    assert profile_problems(push, "social_interaction", {"tier": "social_interaction"}) == (
        "tier came from Social Interaction, so it isn't pushed back there",
    )


def test_a_profile_that_is_not_there_is_told_with_the_nearest() -> None:
    (told,) = profile_problems(push_of("retail_crm"), "retail_cmr", {})
    assert "did you mean 'retail_crm'?" in told


def test_a_definition_to_begin_with_is_printed() -> None:
    runner = CliRunner()
    listed = runner.invoke(cli, ["profiles"])
    assert "retail_crm" in listed.output
    printed = runner.invoke(cli, ["profiles", "retail_crm"]).output
    assert "# - CSV with a header and one column, mobile" in printed
    assert load_pushes([("p.yaml", printed)]) == [push_of("retail_crm")]
    refused = runner.invoke(cli, ["profiles", "retail"])
    assert "did you mean 'retail_crm'?" in str(refused.exception)
