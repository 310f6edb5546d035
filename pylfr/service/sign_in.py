"""Signing in: a challenge signed with the key that the authorisation names; the key never reaches the server."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from pylfr._internal.canonical_json import canonical, utc_text
from pylfr.deployment.sections.service import Role
from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.enrolment import identity_of
from pylfr.governance.keys.person_key import PersonKey, verifies

T = TypeVar("T")

_FORMAT = "pylfr-sign-in-1"
_CHALLENGE_LIVES = timedelta(minutes=1)
# So many failures within the window lock a name, and an address, for as long.
_FAILURES, _LOCKED = 5, timedelta(minutes=15)
# Of challenges, failures and sessions no more are remembered: an attacker cannot fill the memory.
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody of ``[people]``: their name, public key and roles."""

    name: str
    key: PersonKey
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What somebody has to sign to prove who they are: ``message`` is canonical JSON."""

    nonce: str
    message: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A person who has proved who they are, until ``expires_at``."""

    person: Person
    expires_at: datetime


class SignIn:
    """Challenges, sessions and locks, in memory only: a restart signs everybody out. Safe for many threads."""

    def __init__(
        self, people: Mapping[str, Person], *, origin: str, lives: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._people = {identity_of(name): person for name, person in people.items()}
        self._origin = origin
        self._lives = lives
        self._clock = clock
        self._lock = threading.Lock()
        self._challenges: OrderedDict[str, tuple[str, Challenge]] = OrderedDict()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._failures: OrderedDict[str, deque[datetime]] = OrderedDict()

    def challenge(self, name: str) -> Challenge:
        """A challenge for ``name``, also where nobody has that name: who is known is not told. It lives a minute."""
        nonce, expires_at = secrets.token_urlsafe(32), self._clock() + _CHALLENGE_LIVES
        message = canonical([_FORMAT, self._origin, name, nonce, utc_text(expires_at)]).decode()
        challenge = Challenge(nonce=nonce, message=message, expires_at=expires_at)
        with self._lock:
            _remember(self._challenges, nonce, (name, challenge))
        return challenge

    def open(self, nonce: str, signature: str, *, address: str) -> tuple[str, Session]:
        """A session's secret and the session, for whoever signed the challenge; a challenge serves once.

        Raises ``AuthorisationError``, in the same words whatever was wrong, and after some failures for a while always.
        """
        now = self._clock()
        with self._lock:
            name, challenge = self._challenges.pop(nonce, ("", None))
            keys = (f"name {identity_of(name)}", f"address {address}")
            if any(self._is_locked(key, now) for key in keys):
                raise AuthorisationError(
                    f"too many failed attempts to sign in: wait {_LOCKED.seconds // 60} minutes, or ask your supervisor"
                )
        person = self._people.get(identity_of(name))
        is_open = challenge is not None and now < challenge.expires_at
        if person is None or challenge is None or not is_open or not _signed(person, challenge, signature):
            with self._lock:
                for key in keys:
                    _remember(self._failures, key, self._failures.get(key, deque(maxlen=_FAILURES))).append(now)
            raise AuthorisationError("this does not sign you in: check the name and the key, and try again")
        secret, session = secrets.token_urlsafe(32), Session(person=person, expires_at=now + self._lives)
        with self._lock:
            self._failures.pop(keys[0], None)
            _remember(self._sessions, _hashed(secret), session)
        return secret, session

    def session(self, secret: str) -> Session | None:
        """The session of a secret; None where there is none, or it has expired."""
        key = _hashed(secret)
        with self._lock:
            session = self._sessions.get(key)
            if session is not None and self._clock() >= session.expires_at:
                del self._sessions[key]
                return None
            return session

    def close(self, secret: str) -> None:
        """End the session of a secret."""
        with self._lock:
            self._sessions.pop(_hashed(secret), None)

    def _is_locked(self, key: str, now: datetime) -> bool:
        failures = self._failures.get(key, deque())
        return len(failures) == _FAILURES and now - failures[0] < _LOCKED


def _signed(person: Person, challenge: Challenge, signature: str) -> bool:
    return verifies(person.key, challenge.message.encode(), signature)


def _hashed(secret: str) -> str:
    # A dump of this memory gives no cookie that works.
    return hashlib.sha256(secret.encode()).hexdigest()


def _remember(known: OrderedDict[str, T], key: str, value: T) -> T:
    known[key] = value
    known.move_to_end(key)
    while len(known) > _MOST:
        known.popitem(last=False)
    return value
