"""Connections used by name: resolved into destinations, by whom, and what uses one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.connections.check import resolved_all
from agents.connections.connection import WebhookTemplate
from agents.connections.permitted import connection_refusals, endpoints_of
from agents.connections.published import (
    PublishedConnection,
)
from agents.connections.resolve import resolved_or_refused
from agents.connections.uses import Naming, Reference, broken_by, naming_of, references_to
from agents.deliver.definitions.destination import EventHub, KafkaTopic, Secret, Webhook
from agents.deliver.definitions.hosts import HostPattern
from agents.deliver.definitions.parse import load_parsed
from agents.deliver.secrets.secrets import Declared, Secrets, SecretSources
from rules.parse.problems import DefinitionsInvalid
from tests.agents.connections.made import CRM, FILES, HUBS, LAKE, SFTP, connection, published
from tests.stage.delivery_engine import destination


def test_a_destination_takes_its_system_from_the_connection() -> None:
    known = published(LAKE, HUBS)
    found = resolved_or_refused(
        destination("{name: d, kind: kafka, connection: lake, kafka: {topic: t, batch: 5}}"), known
    )
    assert (found.refused, found.lender) == ("", "default")
    target = found.target
    assert isinstance(target, KafkaTopic)
    assert (target.topic, target.batch, target.sasl_mechanism) == ("t", 5, "SCRAM-SHA-512")
    assert target.sasl_password == Secret("LAKE")
    hub = resolved_or_refused(
        destination("{name: d, kind: eventhub, connection: hubs, eventhub: {hub: h}}"), known
    )
    assert isinstance(hub.target, EventHub)
    assert (hub.target.namespace, hub.target.hub) == ("x.servicebus.windows.net", "h")
    without = resolved_or_refused(destination("{name: d, kind: eventhub, connection: hubs}"), known)
    assert "names no hub" in without.refused


def test_what_the_connection_has_must_not_stand_in_the_destination() -> None:
    with pytest.raises(DefinitionsInvalid, match="'bootstrap' is the connection's"):
        destination("{name: d, kind: kafka, connection: lake, kafka: {topic: t, bootstrap: 'a:1'}}")
    with pytest.raises(DefinitionsInvalid, match="'url' is the connection's"):
        destination("{name: d, kind: webhook, connection: crm, webhook: {url: 'https://a.example'}}")
    with pytest.raises(DefinitionsInvalid, match="unknown key 'parameters'"):
        destination("{name: d, kind: webhook, webhook: {url: 'https://a.example', parameters: {}}}")


OF_SHOP = "{name: d, kind: webhook, project: %s, connection: %s, webhook: {parameters: {campaign: spring}}}"


def test_another_project_may_use_it_only_where_it_says_so() -> None:
    known = published(CRM)
    assert resolved_or_refused(destination(OF_SHOP % ("shop", "default/crm")), known).refused == ""
    refused = resolved_or_refused(destination(OF_SHOP % ("other", "default/crm")), known).refused
    unknown = resolved_or_refused(destination(OF_SHOP % ("other", "default/nothing")), known).refused
    assert refused.replace("crm", "nothing") == unknown, "nobody learns which connections others have"
    assert (
        "did you mean 'default/crm'"
        in resolved_or_refused(destination(OF_SHOP % ("shop", "default/crn")), known).refused
    )


def test_a_connection_of_another_kind_or_a_deleted_one_is_told() -> None:
    known = dict(published(LAKE))
    wanted = destination("{name: d, kind: webhook, connection: lake}")
    assert "is of the kind kafka, not webhook" in resolved_or_refused(wanted, known).refused
    known["default/lake"] = PublishedConnection(connection(LAKE), 2, deleted=True)
    assert "no connection 'lake'" in resolved_or_refused(wanted, known).refused


def test_problems_with_parameters_have_their_places() -> None:
    text = """destinations:
- name: one
  kind: webhook
  connection: crm
  webhook:
    parameters:
      campain: spring
      percent: many
- name: two
  kind: webhook
  connection: crn
- name: three
  kind: webhook
  connection: crm
  webhook: {parameters: {campaign: winter, text: 5, percent: "${seq}"}}
"""
    with pytest.raises(DefinitionsInvalid) as caught:
        resolved_all(load_parsed([("d.yaml", text)]), lambda project: published(CRM))
    told = [(each.line, each.path, each.message) for each in caught.value.problems]
    assert [(line, path) for line, path, _ in told] == [
        (7, "destinations[0].webhook.parameters"),
        (7, "destinations[0].webhook.parameters.campain"),
        (8, "destinations[0].webhook.parameters.percent"),
        (11, "destinations[1].connection"),
        (15, "destinations[2].webhook.parameters.campaign"),
        (15, "destinations[2].webhook.parameters.text"),
        (15, "destinations[2].webhook.parameters.percent"),
    ]
    messages = "\n".join(each for *_, each in told)
    for each in (
        "'campaign' (choice) is needed: which coupons",
        "did you mean 'campaign'?",
        "percent must be a number",
        "did you mean 'crm'?",
        "can't be 'winter'",
        "text must be text",
        "can't hold a variable, because it is a number",
    ):
        assert each in messages


def test_secrets_are_those_of_the_connections_project() -> None:
    found = resolved_or_refused(destination(OF_SHOP % ("shop", "default/crm")), published(CRM))
    assert isinstance(found.target, Webhook)
    assert (found.project, found.secrets_project) == ("shop", "default")


def test_a_secret_must_be_declared_for_the_connections_host() -> None:
    declared = {"CRM_TOKEN": Declared("CRM_TOKEN", (HostPattern.parse("crm.example"),), env="X")}
    secrets = Secrets(SecretSources(declared))
    assert connection_refusals(connection(CRM), secrets) == []
    elsewhere = connection(CRM.replace("crm.example", "evil.example"))
    assert "not to evil.example" in connection_refusals(elsewhere, secrets)[0]
    assert "no secret 'LAKE'" in connection_refusals(connection(LAKE), secrets)[0]
    assert [str(each) for each in endpoints_of(connection(FILES))] == ["oss.example:443"]
    assert [str(each) for each in endpoints_of(connection(SFTP))] == ["sftp.example:22"]


def test_uses_are_known_and_a_change_that_breaks_one_is_told() -> None:
    crm, known = connection(CRM), published(CRM)
    uses = [
        destination(OF_SHOP % ("shop", "default/crm")),
        destination(OF_SHOP % ("shop", "crm")),
        destination("{name: e, kind: kafka, kafka: {topic: t}}"),
    ]
    pushes = [
        Naming(Reference("push", "default", "p"), ("lake", "crm")),
        Naming(Reference("push", "shop", "q"), ("crm",)),
        Naming(Reference("push", "shop", "r"), ("default/crm",)),
    ]
    assert list(map(str, references_to(crm, [*map(naming_of, uses), *pushes]))) == [
        "destination 'd' of project 'shop'",
        "push 'p' of project 'default'",
        "push 'r' of project 'shop'",
    ]
    assert list(broken_by(crm, known, uses)) == []
    narrower = connection(CRM.replace("projects: [shop], ", ""))
    told, of_push = broken_by(narrower, known, uses, pushes)
    assert "destination 'd' of project 'shop' uses it" in told
    assert "push 'r' of project 'shop' uses it: project 'shop' has no connection" in of_push
    as_cluster = connection(LAKE.replace("name: lake", "name: crm"))
    assert [each.partition(" uses it")[0] for each in broken_by(as_cluster, known, (), pushes)] == [
        "push 'p' of project 'default'",
        "push 'r' of project 'shop'",
    ]
    assert isinstance(crm.reached, WebhookTemplate)
    with_more = connection(CRM.replace("percent: {type: number, default: 5}", "percent: {required: true}"))
    assert ["'percent' (text) is needed" in each for each in broken_by(with_more, known, uses)] == [True]


def test_a_change_of_a_webhook_that_lists_are_told_to_leaves_nothing_to_fill_in() -> None:
    told = "{name: told, kind: webhook, webhook: {url: https://crm.example/lists}}"
    known, pushes = published(told), [Naming(Reference("push", "default", "p"), ("files", "told"), "told")]
    opened = connection(
        "{name: told, kind: webhook, webhook: {method: PUT, url: 'https://crm.example/${user_id}', "
        "query: {a: b}, headers: {x-user: '${user_id}'}}}"
    )
    says = "push 'p' of project 'default' notifies it: a notification "
    assert list(broken_by(opened, known, (), pushes)) == [
        says + "is a POST, and its webhook says PUT",
        says + "fills in no variables, and the url of its webhook has user_id",
        says + "has no query, and its webhook has one",
        says + "fills in no variables, and the header x-user of its webhook has user_id",
    ]
    assert list(broken_by(connection(told.replace("/lists", "/other")), known, (), pushes)) == []
    as_store = connection(FILES.replace("name: files", "name: told"))
    assert ["not webhook" in each for each in broken_by(as_store, known, (), pushes)] == [True]
    # What couldn't be told before isn't broken by the change.
    assert list(broken_by(opened, {opened.key: PublishedConnection(opened, 1)}, (), pushes)) == []


def test_the_examples_of_the_page_fit_each_other() -> None:
    page = (Path(__file__).parents[3] / "docs/connections.md").read_text(encoding="utf-8")
    crm, oss, coupons = re.findall(r"^```yaml\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    (found,) = resolved_all(load_parsed([("page.yaml", coupons)]), lambda project: published(crm))
    assert isinstance(found.target, Webhook)
    assert found.target.parameters["campaign"] == "spring"
    assert [str(each) for each in endpoints_of(connection(oss))] == [
        "lists.s3.oss-cn-hangzhou.aliyuncs.com:443"
    ]
