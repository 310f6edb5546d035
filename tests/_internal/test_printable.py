from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylfr._internal.printable import one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë Łukasiewicz, 北京", "Zoë Łukasiewicz, 北京"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\nb\r\u2028c\x85d", "a\\nb\\r\\u2028c\\x85d"),
        ("gate\u202egnp.exe", "gate\\u202egnp.exe"),
        ("\x9b31m\udcff\x00", "\\x9b31m\\udcff\\x00"),
    ],
)
def test_what_is_not_printable_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_message_is_one_line_and_keeps_its_words() -> None:
    assert one_line("one\n  two\tthree\x1b[1m") == "one two three\\x1b[1m"


@settings(deadline=None)
@given(st.text(st.characters()))
def test_whatever_it_is_it_becomes_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()
    assert one_line(text).isprintable()
    printable(text).encode()
