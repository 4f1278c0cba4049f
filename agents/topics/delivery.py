"""Names of the topics of delivery."""

from __future__ import annotations


def destinations_topic(prefix: str) -> str:
    return f"{prefix}.destinations"


def connections_topic(prefix: str) -> str:
    return f"{prefix}.connections"


def dead_letter_topic(prefix: str, destination: str) -> str:
    return f"{prefix}.deliver.{destination}.dlq"
