"""The section on the service: its address, who may do what, tokens for programs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pylfr._internal.toml_model import ConfigModel, Name
from pylfr.deployment.sections.fields import FilePath

Role = Literal["operator", "second operator", "engagement officer", "supervisor", "auditor"]


Scope = Literal["alerts", "cameras", "deployment", "metrics", "report"]


class TokenSection(ConfigModel):
    """The token of an integrator's program, which reads and never decides."""

    sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="digest of the token, from `pylfr service token`; the token is shown once"
    )
    scopes: tuple[Scope, ...] = Field(min_length=1, description="what it may read")


class ServiceSection(ConfigModel):
    """The HTTP service and its pages, for `pylfr serve`."""

    host: str = Field(default="127.0.0.1", description="address to listen on; another than loopback needs TLS")
    port: int = Field(default=8443, ge=1, le=65535, description="port to listen on")
    origin: str | None = Field(
        default=None, description="address in people's browsers, https://desk.example; unset: that of host and port"
    )
    certificate: FilePath | None = Field(default=None, description="TLS certificate with its chain (PEM)")
    private_key: FilePath | None = Field(default=None, description="private key of the certificate (PEM)")
    session_min: float = Field(default=60.0, gt=0, le=720, description="a session ends after this time, minutes")
    roles: dict[Name, tuple[Role, ...]] = Field(
        default_factory=dict, description="what each of [people] may do; unset: everybody is operator and officer"
    )
    tokens: dict[Name, TokenSection] = Field(default_factory=dict, description="integrators' programs, by name")

    @model_validator(mode="after")
    def _is_encrypted(self) -> ServiceSection:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("give both certificate and private_key, or neither")
        if self.certificate is None and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"host {self.host!r} is not loopback: give certificate and private_key for TLS")
        return self

    @property
    def address(self) -> str:
        """The address for people's browsers."""
        scheme = "http" if self.certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.origin or f"{scheme}://{host}:{self.port}"
