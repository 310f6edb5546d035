"""A log that was flipped, cut, reordered, thinned or written anew is found out, and the place is named."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from pylfr.governance.audit.chain import GENESIS, Flaw, LogEntry, read_log, sign_checkpoint
from pylfr.governance.keys.keys import SigningKey
from tests.governance.samples import NOON

KEY, OTHER = SigningKey(Ed25519PrivateKey.generate()), SigningKey(Ed25519PrivateKey.generate())
COUNT = 8


def chain(*, altered: int = 0, count: int = COUNT) -> list[LogEntry]:
    """A whole chain; the details of entry ``altered`` are others, and all digests after it fit."""
    entries: list[LogEntry] = []
    for sequence in range(1, count + 1):
        entries.append(
            LogEntry(
                sequence=sequence,
                at=NOON + timedelta(seconds=sequence),
                kind="alert",
                details={"camera": "north", "score": 0.5 + 0.01 * sequence, "changed": sequence == altered},
                previous=entries[-1].digest if entries else GENESIS,
            )
        )
    return entries


def log_of(entries: list[LogEntry]) -> bytes:
    return b"".join(entry.line() for entry in entries)


WHOLE = log_of(chain())
CHECKPOINTS = b"".join(sign_checkpoint(entry, KEY).line() for entry in chain())


def flaws(log: bytes, checkpoints: bytes | None = CHECKPOINTS) -> list[Flaw]:
    return list(read_log(log, checkpoints, KEY.public if checkpoints is not None else None).flaws)


def test_a_whole_log_and_an_empty_one_have_no_flaw() -> None:
    assert flaws(WHOLE) == []
    assert flaws(WHOLE, None) == []
    assert flaws(b"", None) == flaws(b"", b"") == []


def test_an_entry_that_was_appended_without_the_key_is_shown_and_not_believed() -> None:
    longer = chain(count=COUNT + 1)
    read = read_log(log_of(longer), CHECKPOINTS, KEY.public)
    assert (len(read.entries), read.unsigned, read.flaws) == (COUNT, longer[-1], ())


def test_more_than_one_entry_without_a_checkpoint_is_no_crash() -> None:
    read = read_log(log_of(chain(count=COUNT + 2)), CHECKPOINTS, KEY.public)
    assert (len(read.entries), read.unsigned) == (COUNT, None)
    assert [flaw.line for flaw in read.flaws] == [COUNT + 1, COUNT + 2]
    assert "nothing acts on it" in read.flaws[0].what


def test_the_next_checkpoint_does_not_vouch_for_an_entry_that_was_never_signed() -> None:
    signed = b"".join(sign_checkpoint(entry, KEY).line() for entry in chain() if entry.sequence != 4)
    read = read_log(WHOLE, signed, KEY.public)
    assert [entry.sequence for entry in read.entries] == [1, 2, 3, 5, 6, 7, 8]
    assert [flaw.line for flaw in read.flaws] == [4]


def test_an_empty_file_of_checkpoints_vouches_for_nothing() -> None:
    read = read_log(WHOLE, b"", KEY.public)
    assert read.entries == ()
    assert "there is no valid checkpoint" in read.flaws[-1].what


def test_two_different_entries_signed_under_one_number_are_named() -> None:
    other = sign_checkpoint(chain(altered=3)[2], KEY).line()
    assert "two different entries 3 were signed" in flaws(WHOLE, CHECKPOINTS + other)[0].what


def test_checkpoints_need_a_key() -> None:
    with pytest.raises(ValueError, match="give both, or neither"):
        read_log(WHOLE, CHECKPOINTS)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 7))
def test_every_flipped_bit_is_found_in_its_line(place: int, bit: int) -> None:
    broken = bytearray(WHOLE)
    broken[place] ^= 1 << bit
    found = flaws(bytes(broken), None)
    line = WHOLE[:place].count(b"\n") + 1
    assert found
    assert min(flaw.line for flaw in found) == line


@pytest.mark.parametrize("number", range(1, COUNT))
def test_a_deleted_entry_is_named(number: int) -> None:
    lines = chain()
    del lines[number - 1]
    assert Flaw(line=number, what=f"entry {number} is missing before entry {number + 1}") in flaws(log_of(lines), None)


@pytest.mark.parametrize("number", range(1, COUNT))
def test_two_entries_in_another_order_are_named(number: int) -> None:
    lines = chain()
    lines[number - 1], lines[number] = lines[number], lines[number - 1]
    assert any(flaw.line in (number, number + 1) for flaw in flaws(log_of(lines), None))


@pytest.mark.parametrize("kept", range(COUNT))
def test_a_cut_tail_shows_against_the_checkpoints_only(kept: int) -> None:
    assert flaws(log_of(chain()[:kept]), None) == []
    [flaw] = flaws(log_of(chain()[:kept]))
    assert flaw == Flaw(line=kept + 1, what=f"entries {kept + 1} to {COUNT} were cut off: they had been signed")


@pytest.mark.parametrize("altered", range(1, COUNT + 1))
def test_a_log_written_anew_shows_where_it_departs_from_what_was_signed(altered: int) -> None:
    forged = log_of(chain(altered=altered))
    assert flaws(forged, None) == []
    [flaw] = flaws(forged)
    assert flaw.line == altered
    assert f"written anew after entry {altered - 1}" in flaw.what


def test_a_replaced_entry_with_a_digest_of_its_own_breaks_the_chain() -> None:
    lines = chain()
    lines[3] = chain(altered=4)[3]
    assert flaws(log_of(lines), None) == [
        Flaw(line=5, what="entry 5 does not follow the one before it: one was replaced")
    ]


def test_a_line_without_its_end_is_named() -> None:
    assert flaws(WHOLE[:-1], None)[0].line == COUNT


def test_checkpoints_that_are_forged_or_damaged_are_named() -> None:
    forged = b"".join(sign_checkpoint(entry, OTHER).line() for entry in chain(altered=2))
    assert "was not signed with this key" in flaws(log_of(chain(altered=2)), forged)[0].what
    assert "no checkpoint" in flaws(WHOLE, b"{}\n")[0].what
