"""Sections on sinks: where alerts go besides the people who decide."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pylfr._internal.toml_model import ConfigModel
from pylfr.deployment.sections.fields import FilePath


class JsonlSection(ConfigModel):
    """Each alert as one line of JSON in a file."""

    type: Literal["jsonl"] = Field(description="jsonl")
    path: FilePath = Field(description="the file; lines are appended, and erased when their retention ends")


class WebhookSection(ConfigModel):
    """Each alert as an HTTP POST, retried until it is accepted."""

    type: Literal["webhook"] = Field(description="webhook")
    url: str = Field(description="http(s) address; secrets by variable: ${NAME}")
    secret: str | None = Field(default=None, description="bearer token, by variable: ${NAME}")
    pictures: bool = Field(default=False, description="send the probe and the reference image with each alert")


class MqttSection(ConfigModel):
    """Each alert as an MQTT message on the topic prefix/CAMERA/alert."""

    type: Literal["mqtt"] = Field(description="mqtt")
    host: str = Field(description="address of the broker")
    port: int = Field(default=1883, ge=1, le=65535, description="port of the broker; 8883 is usual with TLS")
    prefix: str = Field(default="pylfr", description="first part of every topic")
    username: str | None = Field(default=None, description="by variable: ${NAME}")
    password: str | None = Field(default=None, description="by variable: ${NAME}")
    tls: bool = Field(default=False, description="encrypt, and verify the broker's certificate")
    ca: FilePath | None = Field(default=None, description="authorities (PEM) to trust instead of the system's")
    certificate: FilePath | None = Field(default=None, description="certificate of this client (PEM)")
    private_key: FilePath | None = Field(default=None, description="private key of that certificate (PEM)")
    passphrase: str | None = Field(default=None, description="of the private key, by variable: ${NAME}")
    pictures: bool = Field(default=False, description="send the probe and the reference image with each alert")

    @model_validator(mode="after")
    def _tls_is_on(self) -> MqttSection:
        files = {"ca": self.ca, "certificate": self.certificate, "private_key": self.private_key}
        named = [name for name, file in files.items() if file is not None]
        if named and not self.tls:
            raise ValueError(f"{named[0]} is for TLS: set tls = true (and the port, usually 8883)")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("give both certificate and private_key, or neither")
        return self


class EvidenceSection(ConfigModel):
    """Each alert as a picture for the operator: the probe beside the reference image."""

    type: Literal["evidence"] = Field(description="evidence")
    folder: FilePath = Field(description="folder of the pictures, erased when their retention ends")
    key: FilePath | None = Field(
        default=None, description="key that seals them, created at the first start; profiles for live use require it"
    )


SinkSection = Annotated[JsonlSection | WebhookSection | MqttSection | EvidenceSection, Field(discriminator="type")]
