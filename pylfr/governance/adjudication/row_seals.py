"""Encrypts the names in rows of the records before they are stored, and decrypts them when they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pylfr._internal.canonical_json import Plain
from pylfr._internal.strict_json import moment_of
from pylfr.errors import AdjudicationError, VaultError
from pylfr.governance.adjudication.erasure_keys import ErasureKeys, SealedValueError, is_sealed
from pylfr.governance.adjudication.stored import StoredAlert, StoredDecision, erased_name

# Shown for an encrypted name that cannot be read before its time of erasure. The log differs, so it is reported.
_UNREADABLE = "(cannot be read: it was changed, or its key is gone)"
# Put before a name in clear that would otherwise read as a sealed one: people choose what they are called.
_IN_CLEAR: Final = "clear:"


class RowSeals:
    """Seals who was matched in an alert, and in a decision who decided, the reason, the key and the signature.

    Without ``keys`` names are stored in clear. Raises ``AdjudicationError`` for an encrypted row without ``keys`` and
    where a key cannot be made.
    """

    def __init__(self, keys: ErasureKeys | None) -> None:
        self._keys = keys

    def alert(self, row: StoredAlert) -> StoredAlert:
        """The row to store."""
        if row.entry is None:
            return row
        if self._keys is None:
            return replace(row, entry=_in_clear(row.entry))
        return replace(row, entry=self._sealed(self._keys, row.entry, ["alerts", row.id], row.erase_at))

    def opened_alert(self, row: StoredAlert) -> StoredAlert:
        """The row as it was before sealing; without its name once the key has expired."""
        if row.entry is None or not is_sealed(row.entry):
            return replace(row, entry=_from_clear(row.entry))
        try:
            entry = self._required().open(row.entry, ["alerts", row.id])
        except SealedValueError:
            return replace(row, entry=_UNREADABLE)
        return replace(row, entry=None if entry is None else str(entry))

    def decision(self, row: StoredDecision, *, forget_at: str | None) -> StoredDecision:
        """The row to store; the alert's deciders are erased at ``forget_at``, None where they have been."""
        if self._keys is None or forget_at is None:
            return replace(row, by=_in_clear(row.by))
        words: Plain = {"by": row.by, "reason": row.reason, "key": row.key, "signature": row.signature}
        sealed = self._sealed(self._keys, words, _about(row), forget_at)
        return replace(row, by=sealed, reason="", key=None, signature=None)

    def opened_decision(self, row: StoredDecision) -> StoredDecision:
        """The row as it was before sealing; without the decider once the key has expired."""
        if not is_sealed(row.by):
            return replace(row, by=_from_clear(row.by) or row.by)
        try:
            words = self._required().open(row.by, _about(row))
        except SealedValueError:
            return replace(row, by=_UNREADABLE)
        if not isinstance(words, dict):
            return replace(row, by=erased_name(row.number))
        key, signature = words.get("key"), words.get("signature")
        return replace(
            row,
            by=str(words.get("by")),
            reason=str(words.get("reason")),
            key=None if key is None else str(key),
            signature=None if signature is None else str(signature),
        )

    def _required(self) -> ErasureKeys:
        if self._keys is None:
            raise AdjudicationError(
                "the names in these records are encrypted: name the folder of their keys, [records] keys"
            )
        return self._keys

    @staticmethod
    def _sealed(keys: ErasureKeys, value: Plain, about: Plain, until: str) -> str:
        try:
            return keys.seal(value, about, until=moment_of(until, "the time of erasure"))
        except (VaultError, ValueError) as error:
            raise AdjudicationError(f"a name cannot be encrypted for the records: {error}") from error


def _in_clear(name: str) -> str:
    """``name`` as it is stored without encryption."""
    return f"{_IN_CLEAR}{name}" if is_sealed(name) or name.startswith(_IN_CLEAR) else name


def _from_clear(stored: str | None) -> str | None:
    """The name that was stored so. What is no text is left to whoever compares the row with the log."""
    return stored.removeprefix(_IN_CLEAR) if isinstance(stored, str) else stored


def _about(row: StoredDecision) -> Plain:
    return [row.table, row.alert, row.number]
