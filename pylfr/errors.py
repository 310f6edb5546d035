"""The few kinds of error that pylfr raises. Each message names the value, the expectation and the fix.

Arguments that are simply wrong (a shape, a dtype) raise the built-in ``ValueError`` and ``TypeError``.
"""

from __future__ import annotations


class PylfrError(Exception):
    """Anything that went wrong for a reason that pylfr understands and can explain."""


class ConfigError(PylfrError):
    """A deployment file, a policy or a command line says something that cannot be done."""


class ModelError(PylfrError):
    """A network is missing, altered, unknown, or does not fit what it is used for."""


class LicenceError(ModelError):
    """A network's licence has not been accepted by name."""


class MediaError(PylfrError):
    """A picture or a video cannot be read, or ended before its end."""


class EnrolmentError(PylfrError):
    """A reference image was refused; the message gives the reasons."""


class WatchlistError(PylfrError):
    """A watchlist is missing, damaged, in use, or was built with another network."""


class AuthorisationError(PylfrError):
    """Recognition is not authorised here, now, on this camera, or not at all."""


class CudaError(PylfrError):
    """The CUDA device is missing or reported a failure; pylfr never falls back to the CPU in silence."""


class SinkError(PylfrError):
    """An alert could not be recorded or delivered."""


class AuditError(PylfrError):
    """The audit record cannot be written or does not verify; recognition stops."""


class AdjudicationError(PylfrError):
    """A decision about an alert cannot be taken: not now, not by this person, or not about this alert."""


class VaultError(PylfrError):
    """Something sealed cannot be opened: its key is gone, over or another, or it was changed."""
