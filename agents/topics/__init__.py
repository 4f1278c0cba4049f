"""The topics of the service: what each must be (``plan``), what the cluster has (``look``), what is wrong
(``judge``, ``noted``), and making and mending them (``make``, ``accept``, ``rebuild``)."""

from agents.topics.fault import TopicsUnusable
from agents.topics.look import existing
from agents.topics.make import create_topics, ensure_topics, make_missing
from agents.topics.plan import TopicPlan

__all__ = [
    "TopicPlan",
    "TopicsUnusable",
    "create_topics",
    "ensure_topics",
    "existing",
    "make_missing",
]
