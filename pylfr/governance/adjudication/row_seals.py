"""What names somebody in a row of the records: encrypted on its way into the database, and read on its way out."""

from __future__ import annotations

from dataclasses import replace

from pylfr._internal.canonical_json import Plain
from pylfr._internal.strict_json import moment_of
from pylfr.errors import AdjudicationError, VaultError
from pylfr.governance.adjudication.erasure_keys import ErasureKeys, SealedValueError, is_sealed
from pylfr.governance.adjudication.stored import StoredAlert, StoredDecision, erased_name

# In place of a name that is encrypted and cannot be read, though its time has not come. The log has another.
_UNREADABLE = "(cannot be read: it was changed, or its key is gone)"


class RowSeals:
    """Of an alert who was matched, of a decision who decided, why, and their key and signature.

    Without ``keys`` rows pass as they are; one that is encrypted is then refused with ``AdjudicationError``, as is one
    whose key cannot be made.
    """

    def __init__(self, keys: ErasureKeys | None) -> None:
        self._keys = keys

    def alert(self, row: StoredAlert) -> StoredAlert:
        """The row to be stored."""
        if self._keys is None or row.entry is None:
            return row
        return replace(row, entry=self._sealed(self._keys, row.entry, ["alerts", row.id], row.erase_at))

    def opened_alert(self, row: StoredAlert) -> StoredAlert:
        """The row that was stored; without its name where the key has ended."""
        if row.entry is None or not is_sealed(row.entry):
            return row
        try:
            entry = self._required().open(row.entry, ["alerts", row.id])
        except SealedValueError:
            return replace(row, entry=_UNREADABLE)
        return replace(row, entry=None if entry is None else str(entry))

    def decision(self, row: StoredDecision, *, forget_at: str | None) -> StoredDecision:
        """The row to be stored, of an alert whose deciders are erased at ``forget_at``; None: they have been."""
        if self._keys is None or forget_at is None:
            return row
        words: Plain = {"by": row.by, "reason": row.reason, "key": row.key, "signature": row.signature}
        sealed = self._sealed(self._keys, words, _about(row), forget_at)
        return replace(row, by=sealed, reason="", key=None, signature=None)

    def opened_decision(self, row: StoredDecision) -> StoredDecision:
        """The row that was stored; without whoever decided where the key has ended."""
        if not is_sealed(row.by):
            return row
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


def _about(row: StoredDecision) -> Plain:
    return [row.table, row.alert, row.number]
