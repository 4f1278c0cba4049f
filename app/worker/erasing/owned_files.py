"""The files of the stores that a worker owns: cleaned of erased users, and the receipts say so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.evaluate.evaluator import Evaluator
from agents.evaluate.pipeline import Pipeline
from agents.registry.erasures import Erasures, receipt_of, receipt_record
from agents.registry.topic import publish
from agents.restore.cleaning import StoreCleaner
from app.worker.erasing.left_stores import LeftStores
from rules.time.instants import format_instant
from tables.erased import Erased
from tables.store_faults import wipe

log = structlog.get_logger("turnstile.worker")

LOOK_SECONDS: Final = 1.0
LEFT_SECONDS: Final = 60.0
"""Between two looks at the stores that were left behind."""


class OwnedFiles:
    """Of one worker."""

    def __init__(
        self,
        evaluator: Evaluator,
        erasures: Erasures,
        producer: AIOKafkaProducer,
        left: Sequence[LeftStores] = (),
    ) -> None:
        self._evaluator = evaluator
        self._erasures = erasures
        self._producer = producer
        self._left = left
        self._next_look = time.monotonic() + LEFT_SECONDS
        self._cleaner = StoreCleaner()

    async def run(self) -> None:
        """Look until cancelled. Raises StoreBroken, StoreUnusable."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for partition, task in list(self._evaluator.tasks.items()):
                try:
                    await self._look(partition, task.pipeline)
                except KafkaError as error:
                    log.warning("receipts_not_written", partition=partition, error=repr(error))
            if time.monotonic() >= self._next_look and not self._evaluator.paused:
                self._next_look = time.monotonic() + LEFT_SECONDS
                for path in [path for each in self._left for path in each.put_away()]:
                    await asyncio.to_thread(wipe, path)
                    log.info("left_store_removed", path=str(path))

    async def _look(self, partition: int, pipeline: Pipeline) -> None:
        if pipeline.is_burying or not self._owns(partition, pipeline):
            return
        buried = self._buried(partition, pipeline)
        if not (buried or pipeline.profiles.store.is_unclean):
            return
        if not await self._cleaner.clean(pipeline.profiles.store) or not self._owns(partition, pipeline):
            return
        cleaned = format_instant(time.time_ns() // 1_000_000)
        of_name = pipeline.erased.of_name  # whoever was erased once more has another receipt
        still = [each for each in buried.items() if of_name(each[0]) == each[1]]
        if still:
            receipts = [receipt_of(name, each, partition, cleaned) for name, each in still]
            await publish(self._producer, self._erasures.topic, map(receipt_record, receipts))

    def _buried(self, partition: int, pipeline: Pipeline) -> Mapping[bytes, Erased]:
        """Of whom the store has no row any more, and the receipt doesn't say so yet."""
        unclean = self._erasures.unclean.get(partition, set())
        found = ((name, pipeline.erased.of_name(name)) for name in unclean)
        return {name: erased for name, erased in found if erased is not None}

    def _owns(self, partition: int, pipeline: Pipeline) -> bool:
        task = self._evaluator.tasks.get(partition)
        return not self._evaluator.paused and task is not None and task.pipeline is pipeline
