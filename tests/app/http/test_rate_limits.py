"""Limits of requests: what a key may make, and what answers say of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.api_keys import ANYBODY, Caller
from app.http.rate_limits import RateLimits, TooManyRequests
from app.settings.allowance import Allowance
from tests.app.http.lab import api_key, ask, lab

ANN = Caller("ann", frozenset(), frozenset())
BOB = Caller("bob", frozenset(), frozenset())


class Limits(RateLimits):
    """With a clock that the test sets."""

    def __init__(self, rate: int, burst: int) -> None:
        self.now_s = 1000.0
        super().__init__(Allowance(rate, burst), lambda: self.now_s)

    def allows(self, caller: Caller) -> bool:
        try:
            self.take(caller)
        except TooManyRequests:
            return False
        return True


def test_a_key_that_has_used_its_allowance_up_waits_for_its_rate_and_others_dont() -> None:
    limits = Limits(rate=10, burst=3)
    assert [limits.allows(ANN) for _ in range(5)] == [True, True, True, False, False]
    assert limits.allows(BOB)
    limits.now_s += 0.1
    assert [limits.allows(ANN) for _ in range(2)] == [True, False]
    limits.now_s += 60
    assert [limits.allows(ANN) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.integers(0, 400), max_size=200), st.integers(1, 50), st.integers(1, 20))
def test_no_stretch_of_time_has_more_requests_than_its_rate_and_one_burst(
    pauses_ms: list[int], rate: int, burst: int
) -> None:
    limits, taken_s = Limits(rate, burst), []
    for pause_ms in pauses_ms:
        limits.now_s += pause_ms / 1000
        if limits.allows(ANN):
            taken_s.append(limits.now_s)
    for first, begin_s in enumerate(taken_s):
        for number, end_s in enumerate(taken_s[first:], 1):
            assert number <= burst + (end_s - begin_s) * rate + 1e-3


def test_where_no_key_is_asked_for_nothing_is_counted() -> None:
    limits = Limits(rate=1, burst=1)
    assert all(limits.allows(ANYBODY) for _ in range(9))
    assert limits.headers(ANYBODY) == {}


def test_answers_say_what_is_left_and_when_all_of_it_is_back() -> None:
    limits = Limits(rate=2, burst=6)
    assert limits.headers(ANN) == {"RateLimit-Policy": '"key";q=6;w=3', "RateLimit": '"key";r=6;t=0'}
    for _ in range(6):
        limits.take(ANN)
    assert limits.headers(ANN)["RateLimit"] == '"key";r=0;t=3'
    limits.now_s += 1.0
    assert limits.headers(ANN)["RateLimit"] == '"key";r=2;t=2'


async def test_a_refusal_says_when_to_ask_again_and_bad_keys_arent_counted() -> None:
    keys = [api_key("good", "lookup"), api_key("other", "lookup")]
    async with lab(api_keys=keys, rate_limit=1, rate_burst=2) as made:
        for expected in (200, 200, 429):
            status, answer = await ask(made.base.url, api_key="good")
            assert status == expected, answer
            left = re.search(rb'RateLimit: "key";r=(\d)', answer)
            assert left is not None
        assert b"Retry-After: 1\r\n" in answer
        assert b"application/problem+json" in answer
        assert b"1 requests a second, and 2 at once" in answer
        assert (await ask(made.base.url, api_key="other"))[0] == 200
        for _ in range(4):
            status, answer = await ask(made.base.url, api_key="bad")
            assert status == 401
            assert b"RateLimit" not in answer


@pytest.mark.parametrize("given_limit", [{}, {"rate_limit": None}])
async def test_without_the_setting_nothing_is_counted(given_limit: dict[str, None]) -> None:
    async with lab(api_keys=[api_key("good", "lookup")], **given_limit) as made:
        status, answer = await ask(made.base.url, api_key="good")
        assert status == 200
        assert b"RateLimit" not in answer
