"""The Kafka Streams twin: about the same audiences, over the same log, with the same transitions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.kafka.jars import KafkaUnavailable, kafka_version
from bench.peers.twin import HOME, class_path
from bench.processes import BenchFailed
from bench.worker.throughput import ALL_KINDS, KINDS, PEERS, chosen_kinds
from bench.workload.expected import fingerprint
from bench.workload.rules import bench_audiences
from tests.bench.commands import kafka_options, run

BODY = b'{"id":"%032d","event":"enter","user_id":"u1","seq":1}'


def names(field: str) -> list[str]:
    text = (HOME / "twin" / "Audiences.java").read_text()
    found = re.search(rf"{field} = \{{(.*?)\}};", text, re.DOTALL)
    assert found is not None
    return re.findall(r'"(.*?)"', found[1])


def test_the_twin_has_the_audiences_of_the_benchmarks() -> None:
    audiences = bench_audiences()
    assert names("IDS") == [each.id for each in audiences]
    assert names("NAMES") == [each.name for each in audiences]


def test_the_twin_has_the_kafka_of_the_benchmarks_and_one_version_of_each_library() -> None:
    pom = (HOME / "pom.xml").read_text()
    versions = dict(re.findall(r"<(\w+)\.version>(.+?)</", pom))
    assert versions.pop("kafka") == kafka_version()
    assert all(re.fullmatch(r"\d+(\.\d+)+", each) for each in versions.values())
    assert len(re.findall(r"<version>\$\{", pom)) == len(re.findall("<dependency>", pom))


def test_two_transitions_are_the_same_whatever_id_they_have() -> None:
    assert fingerprint(b"u1", 5, BODY % 1) == fingerprint(b"u1", 5, BODY % 2)
    different = {
        fingerprint(b"u1", 5, BODY % 1),
        fingerprint(b"u2", 5, BODY % 1),
        fingerprint(b"u1", 6, BODY % 1),
        fingerprint(b"u1", 5, (BODY % 1).replace(b"enter", b"exit")),
    }
    assert len(different) == 4


def test_without_a_choice_the_kinds_are_ours_and_with_peers_theirs() -> None:
    said: list[str] = []
    assert chosen_kinds(None, False, said.append) == list(KINDS)
    peers = chosen_kinds(None, True, said.append)
    assert peers == list(PEERS) or (peers == ["python", "twin"] and "native" in said[0])
    assert chosen_kinds("twin,native", True, said.append) == ["native", "twin"]


def test_a_kind_that_there_is_not_is_an_error_that_names_those_that_there_are() -> None:
    with pytest.raises(BenchFailed, match=f"no such kind: flink; there are {', '.join(ALL_KINDS)}"):
        chosen_kinds("twin,flink", False, lambda text: None)


@pytest.mark.slow
def test_workers_and_the_twin_give_the_same_transitions(tmp_path: Path, kafka: str) -> None:
    try:
        class_path()
    except KafkaUnavailable as missing:
        pytest.skip(f"no Kafka Streams: {missing}")
    sizes = ["--events", "40000", "--users", "4000"]
    found = run(tmp_path, "throughput", "--peers", *sizes, *kafka_options(tmp_path, kafka))
    by_kind = {each["kind"]: each for each in found["runs"]}
    assert list(by_kind) == chosen_kinds(None, True, lambda text: None)
    for each in by_kind.values():
        assert each["transitions"] == found["expected"]["40000"]["by_then"]
        assert each["cpu_us"] > 0
    assert not list((tmp_path / "scratch").iterdir())
