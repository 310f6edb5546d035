"""Long lists, a part at a time."""

from __future__ import annotations

from pylfr._internal.parts import in_parts


def test_every_item_is_in_one_part_and_only_the_last_part_is_shorter() -> None:
    assert list(in_parts("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(in_parts("abcd", 2)) == [["a", "b"], ["c", "d"]]
    assert list(in_parts("", 2)) == []


def test_items_may_be_taken_out_meanwhile() -> None:
    waiting = {1, 2, 3}
    for part in in_parts(waiting, 1):
        waiting.difference_update(part)
    assert not waiting
