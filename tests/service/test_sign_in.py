from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.errors import AuthorisationError
from pylfr.governance.keys.keys import SigningKey, make_key, read_signing_key
from pylfr.service.sign_in import Challenge, Person, SignIn

ORIGIN = "https://desk.example"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    make_key(tmp_path / "ada.pem")
    return read_signing_key(tmp_path / "ada.pem")


@pytest.fixture
def sign_in(key: SigningKey, clock: Clock) -> SignIn:
    ada = Person(name="Ada", key=key.public, roles=frozenset({"operator"}))
    return SignIn({"Ada": ada}, origin=ORIGIN, lives=timedelta(hours=1), clock=clock)


def signed(key: SigningKey, challenge: Challenge) -> str:
    return base64.b64encode(key.sign(challenge.message.encode())).decode()


def test_whoever_signs_the_challenge_is_signed_in_until_the_session_ends(
    sign_in: SignIn, key: SigningKey, clock: Clock
) -> None:
    challenge = sign_in.challenge("Ada")
    assert json.loads(challenge.message)[:4] == ["pylfr-sign-in-1", ORIGIN, "Ada", challenge.nonce]
    secret, session = sign_in.open(challenge.nonce, signed(key, challenge), address="10.0.0.1")
    assert session.person.name == "Ada"
    assert sign_in.session(secret) == session
    clock.now += timedelta(hours=1)
    assert sign_in.session(secret) is None


def test_a_challenge_serves_once(sign_in: SignIn, key: SigningKey) -> None:
    challenge = sign_in.challenge("Ada")
    sign_in.open(challenge.nonce, signed(key, challenge), address="a")
    with pytest.raises(AuthorisationError, match="does not sign you in"):
        sign_in.open(challenge.nonce, signed(key, challenge), address="a")


def test_a_challenge_that_is_a_minute_old_serves_no_longer(sign_in: SignIn, key: SigningKey, clock: Clock) -> None:
    challenge = sign_in.challenge("Ada")
    clock.now += timedelta(minutes=1)
    with pytest.raises(AuthorisationError, match="does not sign you in"):
        sign_in.open(challenge.nonce, signed(key, challenge), address="a")


@pytest.mark.parametrize("name", ["Ada", "Nobody"])
def test_a_wrong_key_and_an_unknown_name_are_refused_in_the_same_words(
    sign_in: SignIn, tmp_path: Path, name: str
) -> None:
    make_key(tmp_path / "mallory.pem")
    mallory = read_signing_key(tmp_path / "mallory.pem")
    challenge = sign_in.challenge(name)
    with pytest.raises(AuthorisationError) as refused:
        sign_in.open(challenge.nonce, signed(mallory, challenge), address="a")
    assert str(refused.value) == "this does not sign you in: check the name and the key, and try again"


def test_five_failures_lock_a_name_for_a_while_also_for_its_owner(
    sign_in: SignIn, key: SigningKey, clock: Clock
) -> None:
    for number in range(5):
        challenge = sign_in.challenge("Ada")
        with pytest.raises(AuthorisationError, match="does not sign you in"):
            sign_in.open(challenge.nonce, "AAAA", address=f"address {number}")
    challenge = sign_in.challenge("ada ")
    with pytest.raises(AuthorisationError, match="too many failed attempts"):
        sign_in.open(challenge.nonce, signed(key, challenge), address="another")
    clock.now += timedelta(minutes=15)
    challenge = sign_in.challenge("Ada")
    sign_in.open(challenge.nonce, signed(key, challenge), address="another")


def test_five_failures_lock_an_address_whatever_names_it_tries(sign_in: SignIn, key: SigningKey) -> None:
    for number in range(5):
        with pytest.raises(AuthorisationError, match="does not sign you in"):
            sign_in.open(sign_in.challenge(f"guess {number}").nonce, "AAAA", address="mallory's")
    challenge = sign_in.challenge("Ada")
    with pytest.raises(AuthorisationError, match="too many failed attempts"):
        sign_in.open(challenge.nonce, signed(key, challenge), address="mallory's")
    challenge = sign_in.challenge("Ada")
    sign_in.open(challenge.nonce, signed(key, challenge), address="Ada's own")


def test_a_session_that_was_closed_is_over(sign_in: SignIn, key: SigningKey) -> None:
    challenge = sign_in.challenge("Ada")
    secret, _ = sign_in.open(challenge.nonce, signed(key, challenge), address="a")
    sign_in.close(secret)
    assert sign_in.session(secret) is None


def test_what_is_remembered_is_bounded(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylfr.service.sign_in._MOST", 3)
    for number in range(10):
        sign_in.challenge(f"guess {number}")
    assert len(sign_in._challenges) == 3
