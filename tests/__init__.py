"""The tests: folders like those of the packages, and beside them what several folders use.

``stage``: a log in Kafka, workers on it, and what must come out. ``driver``: the pipeline without Kafka, time
by hand. ``model``: the language from scratch, slow and plain. ``strategies``: random definitions and logs.
``eventhub``: an Event Hub. ``worker`` and ``faults`` run real workers on real brokers.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""
