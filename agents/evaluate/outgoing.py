"""What one partition has on its way to Kafka: outputs until they are acknowledged, and known to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from agents.evaluate.jobs import Parts
from agents.evaluate.partition.state import Recovered
from agents.evaluate.steps import DeadLetter, Draft, Step
from rules.state.identities import Claim
from rules.state.row import Transition
from tables.changelog.format import Written
from tables.changelog.writer import ChangelogWriter
from tables.codec import Checkpoint, Letter, Outbox, UnsentLetters

if TYPE_CHECKING:
    from agents.kafka.raw.hooks import Ready


class Outgoing:
    """Steps go through it in order: ``made``, ``records`` to write them, ``written``, ``acked``.

    What recovery found unsent is sent again before anything else is: so all of that counts as acknowledged.
    """

    def __init__(self, recovered: Recovered, record_bytes: int) -> None:
        checkpoint = recovered.checkpoint
        self.acked_step = checkpoint.step if checkpoint else 0
        """Every output of the steps up to this one is in Kafka."""
        self.noted_step = checkpoint.acked_step if checkpoint else 0
        """What the changelog's last checkpoint says of that."""
        self.changelog_next = recovered.changelog_next
        """Offset after the last changelog record that is acknowledged, or that recovery has read."""
        self.writer = ChangelogWriter(record_bytes, recovered.used_slots)
        self._noting_step = self.noted_step
        self._telling_step = self.acked_step
        """The last step that has any."""
        self._unacked: dict[bytes, list[tuple[int, Transition | Claim]]] = {}
        self._letters: list[tuple[int, Letter]] = []

    def made(self, step: int, draft: Draft) -> None:
        """A step was computed from the draft."""
        unacked = self._unacked
        for key, transition in zip(draft.keys, draft.transitions, strict=True):
            unacked.setdefault(key, []).append((step, transition))
        for key, claim in draft.claims:
            unacked.setdefault(key, []).append((step, claim))
        self._letters += [(step, _kept(each)) for each in draft.refused]
        if draft.transitions or draft.refused or draft.claims:
            self._telling_step = step

    def records(self, step: Step) -> Iterator[Written]:
        """The step's changelog records. Made when they are written: they say what is acknowledged now."""
        self.note_acked(step)
        staged, outboxes, letters = step.staged, self._outboxes(step), self.letters(step)
        return self.writer.step(
            step.checkpoint, staged.rows, outboxes, step.end_checkpoint, staged.write.notes, letters
        )

    def logging(self, steps: Sequence[Step], batch_bytes: int) -> Parts[list[Iterable[Written | Ready]]]:
        """The same of steps, in order, in part as finished batches of at most so many bytes."""
        return [self.records(step) for step in steps]
        yield  # Python alone has no jobs for other threads

    def note_acked(self, step: Step) -> None:
        """The step's checkpoints say what is acknowledged now."""
        self._noting_step = acked = self.acked_step
        step.checkpoint.acked_step = step.end_checkpoint.acked_step = acked

    def letters(self, step: Step) -> UnsentLetters | None:
        """The refused records that its checkpoints must keep."""
        letters = [*step.refused_before, *(each for at, each in self._letters if at <= step.number)]
        return UnsentLetters(step.number, letters) if letters else None

    def note(self, checkpoint: Checkpoint, refused_before: list[Letter]) -> Iterator[Written]:
        """The changelog records of a quiet moment."""
        self._noting_step = acked = checkpoint.acked_step
        # Of a step that isn't acknowledged yet, so that recovery takes them for open.
        letters = UnsentLetters(acked + 1, refused_before) if refused_before else None
        return self.writer.note(checkpoint, letters)

    @property
    def is_unnoted(self) -> bool:
        """Outputs are in Kafka, and the changelog doesn't say so: a kill would send them again."""
        return self.noted_step < self._telling_step <= self.acked_step

    def written(self, changelog_next: int) -> None:
        """The changelog is acknowledged up to here."""
        self.changelog_next = changelog_next
        self.noted_step = self._noting_step

    def acked(self, step: Step) -> None:
        """The step's outputs are in Kafka: its outboxes need not be kept."""
        self.acked_step = step.number
        if self._letters:
            self._letters = [each for each in self._letters if each[0] > step.number]
        for key in self._keys_of(step):
            waiting = [each for each in self._unacked.get(key, ()) if each[0] > step.number]
            if waiting:
                self._unacked[key] = waiting
            else:
                self._unacked.pop(key, None)

    def _keys_of(self, step: Step) -> set[bytes]:
        """Of the rows of a step's transitions and claims, those that may be in ``_unacked``."""
        return {*step.transition_keys, *(key for key, _ in step.claims)}

    def _outboxes(self, step: Step) -> dict[bytes, Outbox]:
        """Per changed row, its outputs that are not known to be in Kafka, up to this step's."""
        unacked, number = self._unacked, step.number
        if not unacked:
            return {}
        return {
            key: _outbox(number, waiting)
            for key, _ in step.staged.rows
            if key in unacked and (waiting := [each for at, each in unacked[key] if at <= number])
        }


def _outbox(step: int, waiting: Sequence[Transition | Claim]) -> Outbox:
    claims = [each for each in waiting if isinstance(each, Claim)]
    return Outbox(step, [each for each in waiting if not isinstance(each, Claim)], claims)


def _kept(letter: DeadLetter) -> Letter:
    record = letter.record
    return Letter(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        list(record.headers),
        letter.origin,
        letter.code,
        letter.message,
        letter.stage,
    )
