"""Following the topic of audiences: every change gives a new rule set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from aiokafka import AIOKafkaConsumer

from agents.registry.audiences import Audiences, Parse
from agents.registry.audiences_together import SET_ASIDE, Fault, compile_usable
from agents.registry.feed import Feed
from agents.warnings import Warnings
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet

UNREADABLE = "definition_unreadable"


class AudiencesFeed(Feed[Audiences]):
    """Reads the topic from its start and goes on; ``changed`` gets every new rule set."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        topic: str,
        parse: Parse,
        changed: Callable[[RuleSet], None],
        max_samples: int,
        warnings: Warnings | None = None,
    ) -> None:
        super().__init__(new_consumer, Audiences(topic, parse), UNREADABLE, warnings, self._use)
        self._use_rules = changed
        self._max_samples = max_samples
        self.wanted: Mapping[bytes, int] = {}
        """The versions that are to be in force, by ``project/id``: those that can run beside one another."""
        self._together: dict[bytes, Fault] = {}
        """Warnings about definitions beside one another, by key."""

    @property
    def published(self) -> Mapping[bytes, PublishedAudience]:
        return self.registry.published

    @property
    def versions(self) -> Mapping[bytes, Mapping[int, PublishedAudience]]:
        """Every version of each definition, deletions included."""
        return self.registry.versions

    @property
    def released(self) -> Set[tuple[bytes, int]]:
        """(``project/id``, version) of what may come out although it changes many memberships."""
        return self.registry.released

    @property
    def unreadable(self) -> Mapping[bytes, str]:
        """Why the latest records of some keys can't be used."""
        return {key: each.reason for key, each in self.registry.unusable.items() if key is not None}

    @property
    def standing(self) -> int:
        """How many definitions there are, deleted ones included."""
        return len(self.published)

    def _use(self) -> None:
        rules, faults = compile_usable(self.published, self._max_samples)
        for key in [key for key, told in self._together.items() if faults.get(key) != told]:
            self._warnings.clear(self._together.pop(key)[0], self.place(key))
        for key in faults.keys() - self._together.keys():
            code, text = self._together[key] = faults[key]
            self._warnings.note(code, self.place(key), text)
        aside = {key for key, (code, _) in faults.items() if code == SET_ASIDE}
        self.wanted = {key: each.version for key, each in self.published.items() if key not in aside}
        self._use_rules(rules)
