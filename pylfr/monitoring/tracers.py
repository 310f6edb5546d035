"""The traces of a run, where its deployment file asks for them."""

from __future__ import annotations

from pylfr.deployment.sections.monitoring import TracingSection
from pylfr.engine.observer import Observer
from pylfr.errors import ConfigError


def tracers_of(section: TracingSection | None, *, deployment: str) -> tuple[Observer, ...]:
    """What traces a run: one, or none. Raises ``ConfigError`` where OpenTelemetry is not installed."""
    if section is None:
        return ()
    try:
        from pylfr.monitoring.tracing import open_tracing
    except ImportError as error:
        raise ConfigError(f'{error.name} is not installed: pip install "pylfr[tracing]"') from error
    return (open_tracing(section.endpoint, share=section.share, deployment=deployment),)
