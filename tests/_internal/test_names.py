"""Names of any script are names; what hides, turns, moves or is not seen at all is none."""

from __future__ import annotations

import pytest

from pylfr._internal.names import name_fault, require_name
from pylfr._internal.printable import markdown, printable

NAMES = (
    "Ada", "7", "O'Brien-Łuczak, Jr.", "Νίκος", "Владимир", "שרה", "فاطمة", "شعله\u200cور", "क्\u200dष", "さくら",
    "王小明", "김철수", "ማርያም", "സരസ്വതി", "ЁЖ 12 / gate (north)", "a" * 200, "𠮷野",
)  # fmt: skip
NO_NAMES = {
    "": "1 to 200",
    "a" * 201: "1 to 200",
    " ": "a letter or a digit",
    "\u3164\u3164": "a letter or a digit",
    "\u2800": "a letter or a digit",
    "---": "a letter or a digit",
    "Ada\n": r"\\n",
    "Ada\x1b[2J": r"\\x1b",
    "Ada\u202eadA": r"\\u202e",
    "Ada\u2066": r"\\u2066",
    "A\u200bda": r"\\u200b",
    "A\u200dda": r"\\u200d",
    "\u200dAda": r"\\u200d",
    "Ada\u2028": r"\\u2028",
    "Ada\x00": r"\\x00",
    "Ada\x85": r"\\x85",
    "Ada\ud800": r"\\ud800",
    "Ada\u00a0B": r"\\xa0",
    "Ada\ue000": r"\\ue000",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_script_is_a_name_and_is_shown_as_it_is(name: str) -> None:
    assert require_name("name", name) == name
    assert printable(name) == name


@pytest.mark.parametrize(("text", "fault"), NO_NAMES.items(), ids=[ascii(text)[:20] for text in NO_NAMES])
def test_what_is_no_name_is_refused_and_shown_so_that_it_does_no_harm(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"entry must .*{fault}") as caught:
        require_name("entry", text)
    assert str(caught.value).isprintable()
    assert name_fault(text) is not None


@pytest.mark.parametrize(("text", "shown"), [
    ("face_reid_0095 1.5", "face_reid_0095 1.5"),
    ("<img src=x>", r"\<img src=x\>"),
    ("[a](javascript:b)", r"\[a\](javascript:b)"),
    ("**a** _b_ ~~c~~", r"\*\*a\*\* \_b\_ \~\~c\~\~"),
    ("a|b", r"a\|b"),
    ("# a", r"\# a"),
    ("a\n# b\u202e", r"a # b\\u202e"),
])  # fmt: skip
def test_what_others_wrote_is_no_mark_in_markdown(text: str, shown: str) -> None:
    assert markdown(text) == shown
