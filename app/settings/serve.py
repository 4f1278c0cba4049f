"""The settings of readers: what they follow, and where they listen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from app.settings.listener import ListenerSettings, port, probe_port
from app.settings.values import HOUR_MS, Whole, setting, whole

SHARE: Final = "NUMBER/OF, such as 2/3, the number from 1 to OF"
_SHARE: Final = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", re.ASCII)


def _share(value: str) -> str:
    match = _SHARE.fullmatch(value)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError("not a share")
    return value


class ServeSettings(ListenerSettings):
    """Readers (``turnstile serve``). Their HTTP interface takes http.api_keys, and TLS as http.port does."""

    port: Whole = port(6070)
    probe_port: Whole = probe_port(6071)
    data_dir: Path = setting(
        Path(".turnstile-reader"),
        "the path of a directory",
        "Where RocksDB keeps the rows that are followed.",
    )
    processes: Whole = whole(
        1, 1, 64, "Processes that share serve.port. Each follows the changelogs into stores of its own."
    )
    share: Annotated[str, AfterValidator(_share)] | None = setting(
        None, SHARE, "The share of the table's partitions that is followed; by default all of them."
    )
    max_behind_ms: Whole = whole(
        10_000,
        1,
        24 * HOUR_MS,
        "A reader whose answer would be older than this (ms) refuses it; nobody else is asked. So does a "
        "worker that answers from a standby, or while partitions move.",
    )

    def follows(self, partition: int) -> bool:
        """Whether a partition of the table is in the share."""
        if self.share is None:
            return True
        number, of = map(int, self.share.split("/"))
        return partition % of == number - 1
