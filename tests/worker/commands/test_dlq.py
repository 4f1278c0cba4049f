"""``turnstile dlq``: what lies among the dead letters, and sending it again, each letter once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.registry.erasures import receipt_of, receipt_record
from app.cli import cli
from app.failures import CommandFailed
from tables.erased import Erased, pseudonym
from tests.stage.log import START_MS, Line
from tests.stage.scene import scene
from tests.stage.workers import environment
from tests.worker.commands.test_definitions import command

TWICE = "audiences: [{id: twice, name: Twice, rule: {event: view, count: {gte: 2}}}]"
EVIL = b'\x1b]0;owned\x07 {"user_id": \xe2\x80\xae'


def view(**properties: str) -> bytes:
    return json.dumps({"user_id": "u", "event": "view", "properties": properties}).encode()


async def test_dead_letters_are_listed_shown_and_sent_again_once(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(TWICE)
        lines = [
            Line(START_MS, b"u", view()),
            Line(START_MS + 1, b"\x1b[31mkey", EVIL),
            Line(START_MS + 2, None, view(text="x" * 3000)),
            Line(START_MS + 3, b"u", None),
            Line(START_MS + 4, b"u", b"not json"),
        ]
        await stage.send(0, lines, headers=[("trace", b"abc")])
        worker = stage.worker(records__max_bytes=2000)
        worker.start()
        await stage.finished()
        assert worker.logged("dead_letter ")
        worker.stop()
        assert worker.logged("dead_letters_more")

        async def dlq(*arguments: str) -> tuple[int, str]:
            """Exit code and output; in this process, which is faster than a new one."""
            env = environment({"kafka.bootstrap": kafka, "topics.prefix": topic_prefix})
            ran = await asyncio.to_thread(CliRunner(env=env).invoke, cli, ["dlq", *arguments])
            if ran.exception is not None and not isinstance(ran.exception, SystemExit):
                raise ran.exception
            return ran.exit_code, ran.output

        code, listed = await dlq("list", stage.events)
        assert code == 0
        rows = [each.split() for each in listed.splitlines()]
        assert [each[:3] for each in rows] == [
            ["reason", "letters", "waiting"],
            ["not_json", "2", "2"],
            ["null_value", "1", "1"],
            ["too_large", "1", "1"],
        ]
        assert (rows[1][4], rows[1][6]) == ("0@0", "0@3")
        assert await dlq("list", stage.dead_letters) == (code, listed)

        code, told = await dlq("show", stage.events, "--reason", "not_json", "--limit", "1")
        assert code == 0
        assert told.replace("\n", "").isprintable()
        assert "\\x1b]0;owned\\x07" in told
        assert "key      \\x1b[31mkey" in told
        assert f"from     {stage.events}/0@1  2024" in told
        assert "header   trace: abc" in told
        assert "and more" in told
        assert "value    none" in (await dlq("show", stage.events, "--partition", "0", "--offset", "2"))[1]

        known = "The reasons there are: not_json, null_value, too_large"
        for words, exit_code in (("list",), 0), (("show",), 1), (("replay", "--dry-run"), 0):
            code, told = await dlq(*words[:1], stage.events, *words[1:], "--reason", "not_jsn")
            assert code == exit_code
            none = f"{stage.dead_letters} has no dead letters with the reason not_jsn"
            assert f"{none}; did you mean 'not_json'? {known}\n" in told
        absent = await dlq("list", stage.events, "--reason", "not_json", "--partition", "7")
        assert absent[1].endswith("has no dead letters with the reason not_json in partition 7\n")

        code, told = await dlq("replay", stage.events, "--dry-run")
        assert code == 1
        assert f"1 too_large would be sent to {stage.events}" in told
        assert "0@2 null_value: not sent, because the record never had a value" in told
        assert await stage.total(stage.events) == len(lines)
        worker.start(records__max_bytes=100_000)
        await worker.wait_ready()
        assert await dlq("replay", stage.events, "--reason", "too_large") == (
            0,
            f"1 too_large sent to {stage.events}\n",
        )
        await stage.reach(1)
        (again,) = (await stage.read(stage.events))[len(lines) :]
        assert (again.key, again.value, again.timestamp) == (None, lines[2].value, START_MS + 2)
        assert list(again.headers) == [("trace", b"abc")]
        code, told = await dlq("replay", stage.events, "--reason", "too_large")
        assert (code, told) == (0, "1 sent by an earlier replay: --again sends them once more\n")
        assert await stage.total(stage.events) == len(lines) + 1
        assert (await dlq("list", stage.events))[1].splitlines()[-1].split()[:3] == ["too_large", "1", "0"]
        assert (await dlq("replay", stage.events, "--reason", "too_large", "--again", "--now"))[0] == 0
        assert (await stage.read(stage.events))[-1].timestamp > START_MS + 1_000_000

        # Letters of a destination, and what isn't a letter at all.
        send = stage.producer.send_and_wait
        await send(stage.dead_letters, b"junk", b"k", 0)
        await send(
            stage.dead_letters,
            b"x",
            b"k",
            0,
            headers=[("source.topic", b"gone\x1b"), ("error.code", b"a\x1b")],
        )
        await send(stage.dead_letters, b"x", b"k", 0, headers=[("delivery.destination", b"crm")])
        code, told = await dlq("replay", stage.events, "--reason", "(no reason)")
        assert code == 1
        assert "it doesn't say which topic it came from" in told
        assert "turnstile deliver replay crm" in told
        assert "its topic gone\\x1b doesn't exist any more" in (await dlq("replay", stage.events))[1]

        erased = Erased(START_MS + 2, {}, {}, ["r"], "default", (0, 0))
        receipt = receipt_record(receipt_of(pseudonym(b"u"), erased, 0))
        await send(f"{topic_prefix}.erasures", receipt[1], receipt[0], 0)
        before = await stage.total(stage.events)
        code, told = await dlq("replay", stage.events, "--reason", "too_large", "--again")
        assert (code, told) == (0, "1 not sent, because their users were erased since\n")
        assert await stage.total(stage.events) == before

        failed = command(stage, "dlq", "list", f"{topic_prefix}.evnets")
        told = failed.stderr
        assert failed.returncode == 2
        assert "Traceback" not in told
        assert f"there is no topic '{topic_prefix}.evnets.dlq'; did you mean '{stage.dead_letters}'?" in told
        with pytest.raises(CommandFailed, match="--offset needs --partition"):
            await dlq("show", stage.events, "--offset", "1")
