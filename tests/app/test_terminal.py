"""What others wrote goes to a terminal without what it would obey."""

from __future__ import annotations

import http.server
import json
import threading
from typing import ClassVar

import pytest

from agents.registry.unusable import UnusableRecord
from app.commands.output import columns
from app.failures import tell_unusable
from app.main import main
from app.shown_bytes import safe_json
from app.worker_client import WorkerClient

OBEYED = "\x1b[2J\x9b1m\x7f\r\u202e\ud800"


def test_json_for_people_holds_nothing_that_a_terminal_obeys_and_means_the_same() -> None:
    value = {"a": f"Zoë\n{OBEYED}", OBEYED: [1, None]}
    text = safe_json(value)
    assert all(each.isprintable() or each == "\n" for each in text)
    assert "Zoë" in text
    assert json.loads(text) == value


def test_tables_and_errors_hold_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = columns([(f"a\n{OBEYED}", "b")])
    assert line.isprintable()
    tell_unusable([UnusableRecord("t", 1, b"k", OBEYED)])
    with pytest.raises(SystemExit):
        main(["lookup", "user", "--url", f"ftp://{OBEYED}"])
    told = capsys.readouterr().err
    assert all(each.isprintable() or each == "\n" for each in told), told


class _Answer(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


def test_an_api_key_goes_to_the_worker_and_to_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        assert WorkerClient(url, "k", "default").get("users", "ann") == {}
        server.shutdown()
    assert _Answer.asked == ["/v1/users/ann?project=default"]
