"""Which engine computes a process's partitions, and why: the native core, or Python alone.

Both give the same steps and the same bytes, so the choice may change at any start. The Python engine is the
reference; the core (``core/``) is the fast one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import structlog

from agents.evaluate.jobs import cores
from agents.evaluate.native.core import Core, CoreMissing, native_core
from agents.evaluate.native.pipeline import NativePipeline
from agents.evaluate.native.rows import NativeProfiles
from agents.evaluate.native.store_reads import StoreReads
from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from rules.compile.rule_set import EMPTY, RuleSet
from rules.compile.spec import spec_of
from tables.profiles import Profiles
from tables.row_store import RowStore

if TYPE_CHECKING:
    from turnstile_core import Rules

log = structlog.get_logger("turnstile.engine")

ROW_BYTES: Final = 2_000
"""What a row takes in the core's memory, about: 1,600 under the benchmarks' 20 audiences. The core counts
what each really takes (``core/src/row/room.rs``)."""
MOST_BYTES: Final = 1 << 62

Wanted: TypeAlias = Literal["auto", "native", "python"]
"""As in the setting ``worker.engine``."""
Name: TypeAlias = Literal["native", "python"]


class Engine:
    """What makes the pipelines of a process. ``wanted`` as the settings say; by default Python alone.

    Raises CoreMissing when it must be the core, and there is none.
    """

    def __init__(
        self,
        wanted: Wanted = "python",
        find_core: Callable[[], Core] = native_core,
        threads: int | None = None,
    ) -> None:
        """``threads``: how many compute; None: one for each core that the process may use."""
        self.core: Core | None = None
        """None: there is none, or it isn't wanted."""
        self._most_threads = threads
        self._reads = StoreReads()
        self._latest: tuple[RuleSet, Rules | None] | None = None
        self._dropped_samples = 0
        self._unknown: str | None = None
        """What the core doesn't know of the latest rules."""
        self._why_python = "worker.engine is python"
        if wanted == "python":
            return
        try:
            self.core = find_core()
        except CoreMissing as missing:
            if wanted == "native":
                raise
            self._why_python = str(missing)

    @cached_property
    def threads(self) -> Executor | None:
        """Where the core computes; None: there is none."""
        most = self._most_threads or cores()
        return None if self.core is None else ThreadPoolExecutor(most, thread_name_prefix="engine")

    @property
    def name(self) -> Name:
        """Which one computes now."""
        return "python" if self.core is None or self._unknown is not None else "native"

    @property
    def why(self) -> str:
        """Why it is this one; a clause for people."""
        return self._why_python if self.core is None else self._unknown or "the native core is built"

    def __str__(self) -> str:
        names = {"native": "the native engine", "python": "the Python engine"}
        return f"{names[self.name]} computes: {self.why}"

    def pipeline(
        self,
        place: Place,
        store: RowStore,
        limits: Limits,
        cache_rows: int,
        behind_rows: int = 0,
        recovered: Recovered | None = None,
    ) -> Pipeline:
        """A pipeline over a store; ``cache_rows`` and ``behind_rows`` as in ``Profiles``."""
        core = self.core
        if core is None:
            return Pipeline(place, Profiles(store, cache_rows, behind_rows), limits, recovered)
        dedupe = limits.dedupe
        partition = core.Partition(
            self._no_rules(core),
            partition=place.partition,
            partitions=place.partitions,
            cache_bytes=min(cache_rows * ROW_BYTES, MOST_BYTES),
            max_bytes=limits.max_bytes,
            max_attributes_bytes=limits.max_attributes_bytes,
            dedupe=(dedupe.run_ms, dedupe.forgotten_ms, dedupe.most),
            step_transitions=limits.step_transitions,
            step_bytes=limits.step_bytes,
            sizes=list(store.sizes().items()),
        )
        profiles = NativeProfiles(store, partition, cache_rows, behind_rows, core.RowUnreadable)
        return NativePipeline(place, profiles, limits, recovered, core, self.native_rules, self._reads)

    def native_rules(self, rules: RuleSet) -> Rules | None:
        """Rules as the core has them; None: it doesn't know one of them, and Python computes."""
        core = self.core
        if core is None:
            return None
        if self._latest is None or self._latest[0] is not rules:  # partitions get the same, one by one
            self._dropped_samples = self.dropped_samples
            self._latest = rules, self._read(core, rules)
        return self._latest[1]

    @property
    def dropped_samples(self) -> int:
        """How many samples the core's conditions have let go of, because a user had too many."""
        if self._latest is not None and self._latest[1] is not None:
            self._dropped_samples += self._latest[1].take_dropped()
        return self._dropped_samples

    def _read(self, core: Core, rules: RuleSet) -> Rules | None:
        unknown, self._unknown = self._unknown, None
        try:
            return core.Rules(spec_of(rules))
        except core.UnknownRule as error:
            self._unknown = f"the native core doesn't know a rule: {error}"
        if self._unknown != unknown:
            log.warning("python_computes", reason=self._unknown)
        return None

    @staticmethod
    @cache
    def _no_rules(core: Core) -> Rules:
        return core.Rules(spec_of(EMPTY))
