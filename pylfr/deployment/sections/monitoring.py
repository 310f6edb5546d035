"""The sections on monitoring: where Prometheus finds the metrics of `pylfr run`, and where traces go."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pylfr._internal.toml_model import ConfigModel


class MonitoringSection(ConfigModel):
    """Metrics for Prometheus while `pylfr run` runs. Nothing listens unless a port is given.

    `pylfr serve` has the same metrics at its own address, for programs whose token has the scope metrics.
    """

    host: Literal["127.0.0.1", "::1"] = Field(
        default="127.0.0.1", description="loopback address; another machine's Prometheus goes through `pylfr serve`"
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="port of /metrics, /healthz and /readyz; unset: nothing listens"
    )


class TracingSection(ConfigModel):
    """OpenTelemetry traces of batches: when each stage began and how much it was given. No person."""

    endpoint: str = Field(
        pattern="^https?://",
        description="where an OpenTelemetry collector takes OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces",
    )
    share: float = Field(default=0.01, gt=0, le=1, description="share of the batches that are traced")
