"""Errors may quote what a damaged file holds, and stay readable."""

from __future__ import annotations

from pylfr.errors import AuthorisationError


def test_a_message_that_quotes_a_whole_file_is_cut_and_keeps_its_beginning() -> None:
    message = str(AuthorisationError(f"the authorisation a.toml lacks {'x' * 100_000}"))
    assert message.startswith("the authorisation a.toml lacks xxx")
    assert message.endswith("...")
    assert len(message) == 4000


def test_a_shorter_message_is_left_as_it_is() -> None:
    assert str(AuthorisationError("it was changed")) == "it was changed"
