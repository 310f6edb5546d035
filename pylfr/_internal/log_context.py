"""What a line of the program's log is about: a camera, a request, a node. Set around work, read by the formatter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_CONTEXT: ContextVar[Mapping[str, str]] = ContextVar("pylfr_log_context")


def log_context() -> Mapping[str, str]:
    """What the work under way is about. Each thread has its own, empty at its start."""
    return _CONTEXT.get({})


@contextmanager
def logged_as(**about: str) -> Iterator[None]:
    """Log what happens inside as being about these things: ``camera``, ``request``, ``node``. Never a person."""
    token = _CONTEXT.set({**log_context(), **about})
    try:
        yield
    finally:
        _CONTEXT.reset(token)
