"""The errors that pylfr raises. Each message names the value, the expectation and the fix.

Invalid arguments (a shape, a dtype) raise the built-in ``ValueError`` and ``TypeError``.
"""

from __future__ import annotations

_LONGEST_MESSAGE = 4000


class PylfrError(Exception):
    """The base of every error that pylfr raises on purpose.

    A message may quote what a damaged file holds; one of more than 4,000 characters is cut.
    """

    def __str__(self) -> str:
        message = super().__str__()
        return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 3]}..."


class ConfigError(PylfrError):
    """A deployment file, a policy or a command asks for something impossible."""


class UsageError(ConfigError):
    """A command was given words that cannot be meant: nothing was opened or written."""


class ModelError(PylfrError):
    """A network is missing, altered, unknown, or unsuitable for its use."""


class LicenceError(ModelError):
    """A network's licence has not been accepted by name."""


class MediaError(PylfrError):
    """A picture or a video cannot be read, or is incomplete."""


class EnrolmentError(PylfrError):
    """A reference image was refused; the message lists the reasons."""


class WatchlistError(PylfrError):
    """A watchlist is missing, damaged, in use, or was built with a different network."""


class WatchlistAwayError(WatchlistError):
    """A watchlist cannot be read just now: it is locked, or gone; a run goes on with the last revision for a while."""


class AuthorisationError(PylfrError):
    """Recognition is not authorised: here, now, on this camera, or at all."""


class CudaError(PylfrError):
    """The CUDA device is missing or reported a failure; pylfr never falls back to the CPU."""


class SinkError(PylfrError):
    """An alert could not be recorded or delivered; ``undelivered`` counts them where a sink that closes says so."""

    def __init__(self, message: str, *, undelivered: int = 0) -> None:
        super().__init__(message)
        self.undelivered = undelivered


class AuditError(PylfrError):
    """The audit log cannot be written or does not verify; recognition stops."""


class AdjudicationError(PylfrError):
    """A decision about an alert is not allowed: now, by this person, or for this alert."""


class VaultError(PylfrError):
    """Something sealed cannot be opened: its key is missing, expired or wrong, or it was modified."""
