"""What a page shows is compared with what its code prints: other words fail, and so do other numbers."""

from __future__ import annotations

import pytest

from tests.docs.page import blocks, script, shows


@pytest.mark.parametrize(
    ("text", "printed", "same"),
    [
        ("2 faces at 0.92 s", "2 faces at 0.88 s\n", True),
        ("2 faces at 0.92 s", "3 faces at 0.92 s\n", False),
        ("score 0.79", "score 0.45", False),
        ("box [455  77 619 306]", "box [456 78 618 305]", True),
        ("Ada at ... s", "Ada at 3.2 s", True),
        ("Ada", "Bob", False),
        ("(2, 256)", "(2, 128)", False),
        ("[{'score': 0.8}]\n{}", "[{'score': 0.81}]\n{}\n", True),
    ],
)
def test_output_is_compared(text: str, printed: str, *, same: bool) -> None:
    assert shows(text, printed) == same


def test_a_titled_block_becomes_a_file_and_a_marked_one_does_not_run() -> None:
    page = '```toml title="a.toml"\nx = 1\n```\n<!-- not run: why -->\n```sh\nfalse\n```\n```sh\ncat a.toml\n```\n'
    found = blocks(page)
    assert [(block.language, block.title, block.why_not) for block in found] == [
        ("toml", "a.toml", None), ("sh", None, "why"), ("sh", None, None),
    ]  # fmt: skip
    assert "false" not in script(found)
    assert "cat a.toml" in script(found)
