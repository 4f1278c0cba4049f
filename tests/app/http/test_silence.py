"""Who was silent isn't waited for, and is tried again by one request at a time."""

from __future__ import annotations

from app.http.silence import AGAIN_SECONDS, Silence

ANN, BOB = "http://ann:1", "http://bob:1"


def test_a_silent_process_is_tried_again_by_one_request_after_a_while() -> None:
    now = 100.0
    silence = Silence(lambda: now)
    silence.note(ANN)
    assert not silence.may_ask(ANN)
    assert silence.may_ask(BOB)
    now += AGAIN_SECONDS
    assert [silence.may_ask(ANN) for _ in range(3)] == [True, False, False]
    silence.heard(ANN)
    assert silence.may_ask(ANN)
