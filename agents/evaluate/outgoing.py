"""What one partition has on its way to Kafka: outputs until they are acknowledged, and known to be."""

from __future__ import annotations

from collections.abc import Iterator

from agents.evaluate.partition.state import Recovered
from agents.evaluate.steps import DeadLetter, Draft, Step
from rules.state.row import Transition
from tables.changelog.format import Written
from tables.changelog.writer import ChangelogWriter
from tables.codec import Checkpoint, Letter, Outbox, UnsentLetters


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
        self._unacked: dict[bytes, list[tuple[int, Transition]]] = {}
        self._letters: list[tuple[int, Letter]] = []

    def made(self, step: int, draft: Draft) -> None:
        """A step was computed from the draft."""
        unacked = self._unacked
        for key, transition in zip(draft.keys, draft.transitions, strict=True):
            unacked.setdefault(key, []).append((step, transition))
        self._letters += [(step, _kept(each)) for each in draft.refused]
        if draft.transitions or draft.refused:
            self._telling_step = step

    def records(self, step: Step) -> Iterator[Written]:
        """The step's changelog records. Made when they are written: they say what is acknowledged now."""
        self._noting_step = acked = self.acked_step
        step.checkpoint.acked_step = step.end_checkpoint.acked_step = acked
        letters = [*step.refused_before, *(each for at, each in self._letters if at <= step.number)]
        unsent = UnsentLetters(step.number, letters) if letters else None
        staged, outboxes = step.staged, self._outboxes(step)
        return self.writer.step(
            step.checkpoint, staged.rows, outboxes, step.end_checkpoint, staged.write.notes, unsent
        )

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
        for key in set(step.transition_keys):
            waiting = [each for each in self._unacked.get(key, ()) if each[0] > step.number]
            if waiting:
                self._unacked[key] = waiting
            else:
                self._unacked.pop(key, None)

    def _outboxes(self, step: Step) -> dict[bytes, Outbox]:
        """Per changed row, its transitions that are not known to be in Kafka, up to this step's."""
        unacked, number = self._unacked, step.number
        if not unacked:
            return {}
        return {
            key: Outbox(number, waiting)
            for key, _ in step.staged.rows
            if key in unacked and (waiting := [each for at, each in unacked[key] if at <= number])
        }


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
