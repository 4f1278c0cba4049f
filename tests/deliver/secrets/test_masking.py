"""Secrets are taken out of texts however an encoder, a receiver or a client wrote them."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from agents.deliver.secrets.masking import MASK, Masker

SECRET = "tök+en/1 \"a\\b\" & <c>='9'"
MULTI = "-----BEGIN KEY-----\nabcdefgh+/12\nshort\nzyxwvuts/+98\n-----END KEY-----"


def percent_all(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def basic(user: str) -> Callable[[str], str]:
    return lambda text: base64.b64encode(f"{user}:{text}".encode()).decode()


WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded in lower case": lambda text: (
        quote(text, safe="").replace("%2F", "%2f").replace("%C3", "%c3")
    ),
    "percent-encoded but for slashes": quote,
    "percent-encoded byte by byte": percent_all,
    "as in a form": quote_plus,
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in ASCII": json.dumps,
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "HTML": html.escape,
    "HTML by numbers": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 after one byte": basic(""),
    "base64 after two bytes": basic("u"),
    "base64 after three bytes": basic("us"),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 percent-encoded": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 4).decode(),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "around", [("<", ">"), ("aaa", "bbb"), ('{"x": "', '"}')], ids=["marks", "letters", "JSON"]
)
def test_a_secret_is_found_however_it_is_written(way: Callable[[str], str], around: tuple[str, str]) -> None:
    masker = Masker()
    masker.hide(SECRET)
    written = way(SECRET)
    before, after = around
    shown = masker.masked(f"said {before}{written}{after} end")
    assert MASK in shown
    assert shown.startswith("said ")
    assert shown.endswith(" end")
    for at in range(len(written) - 7):
        assert written[at : at + 8] not in shown.replace(MASK, "\0"), shown


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", "\\n", "%0A", "", "\n    "])
def test_a_secret_of_several_lines_is_masked_as_a_whole_and_line_by_line(end: str) -> None:
    masker = Masker()
    masker.hide(MULTI)
    shown = masker.masked("a " + MULTI.replace("\n", end) + " b")
    for line in MULTI.split("\n"):
        if len(line) >= 8:
            assert line not in shown
            assert masker.masked(f"only {line}.") == f"only {MASK}."
    assert masker.masked("a short one") == "a short one"


def test_a_word_of_a_secret_and_what_is_in_basic_are_secrets_too() -> None:
    masker = Masker()
    masker.hide("Bearer tok-3f9a1c77")
    masker.hide("Basic " + base64.b64encode(b"admin:pa55-word").decode())
    assert (
        masker.masked("no tok-3f9a1c77, no pa55-word, no admin:pa55-word")
        == f"no {MASK}, no {MASK}, no {MASK}"
    )
    assert masker.masked("Bearer of news") == "Bearer of news"


@pytest.mark.parametrize("way", [str, lambda text: quote(text, safe=""), json.dumps])
def test_a_text_that_was_cut_within_a_secret_shows_no_part_of_it(way: Callable[[str], str]) -> None:
    masker = Masker()
    masker.hide(SECRET)
    written = way(SECRET)
    for length in range(24, len(written)):
        shown = masker.masked("said " + written[:length], cut=True)
        assert shown.removesuffix(MASK) in ("said ", 'said "'), length
    assert masker.masked("said nothing", cut=True) == "said nothing"


def test_other_text_stays_as_it_is_written() -> None:
    masker = Masker()
    masker.hide(SECRET)
    for text in ("a%20b+c &amp; \\n &nope; 100% %zz \\u00e4 %ff", "", "%", "&#99999999;", "\\", "é\r\n"):
        assert masker.masked(text) == text


def test_json_is_masked_in_names_and_values_and_old_values_stay_masked_for_a_while() -> None:
    masker = Masker()
    for number in range(20):
        masker.hide(f"secret-{number}-x")
    tree = {"secret-3-x": ["secret-19-x", 1, None], "b": {"c": "secret-0-x."}}
    assert masker.masked_all(tree) == {MASK: [MASK, 1, None], "b": {"c": f"{MASK}."}}


def test_a_long_text_with_a_long_secret_takes_no_time() -> None:
    masker = Masker()
    masker.hide("\n".join(f"line-{number:04d}-{'x' * 50}" for number in range(60)))
    text = ("a%20b &amp; \\u00e4 line\n" * 1_000)[:4_096]
    started = time.process_time()
    masker.masked(text, cut=True)
    assert time.process_time() - started < 3.0
