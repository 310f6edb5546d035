"""Sections on authority and record: the authorisation, the audit log, the records, hourly counts."""

from __future__ import annotations

from pydantic import Field, model_validator

from pylfr._internal.toml_model import ConfigModel, Name
from pylfr.deployment.sections.fields import REFERENCE, FilePath


class AuthoritySection(ConfigModel):
    """The signed authorisation that this deployment runs under. Required for live cameras."""

    profile: str = Field(description="jurisdiction profile: uk-police, eu-leo, private-site or research")
    place: Name = Field(description="where the cameras are, in the words of the authorisation")
    signed: FilePath = Field(description="the authorisation that `pylfr authority sign` wrote")
    officer_key: FilePath = Field(
        description="public key of the authorising officer, whose private key is not on this machine"
    )
    trusted_officers: FilePath | None = Field(
        default=None,
        description="file of another owner, outside this folder, that names officers and measurers with their keys",
    )
    second_officer_key: FilePath | None = Field(
        default=None, description="public key of the officer who approves categories that need a higher approval"
    )
    confirmed_by: FilePath | None = Field(
        default=None, description="the authorisation that confirms an urgent one; without it all linked data is erased"
    )
    calibration: FilePath | None = Field(
        default=None, description="certificate of the threshold, from `pylfr calibrate`"
    )
    cohorts: FilePath | None = Field(
        default=None,
        description="certificate of error rates by demographic group, from `pylfr evaluate --cohort-certificate`",
    )


class AuditSection(ConfigModel):
    """The audit log: every alert is in it before anybody sees it."""

    path: FilePath = Field(description="the log, one entry per line, each chained to the one before")
    key: FilePath | None = Field(default=None, description="private key that signs checkpoints")
    passphrase: str | None = Field(
        default=None, description="passphrase of that key, by variable: ${NAME}; never the passphrase itself"
    )
    checkpoint_receiver: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@]+/?$",
        description="http(s)://host:port of a `pylfr audit receive` on another machine",
    )
    receiver_ca: FilePath | None = Field(
        default=None, description="authorities (PEM) to trust for the receiver instead of the system's"
    )
    checkpoints: FilePath | None = Field(
        default=None, description="signed checkpoints, on another machine's disk: they reveal a rewritten log"
    )

    @model_validator(mode="after")
    def _checkpoints_are_signed(self) -> AuditSection:
        if (self.key is None) != (self.checkpoints is None):
            raise ValueError("checkpoints are signed and stored elsewhere: give both key and checkpoints, or neither")
        if self.checkpoint_receiver is not None and self.key is None:
            raise ValueError("checkpoint_receiver receives signed checkpoints: give key and checkpoints too")
        if self.passphrase is not None and not REFERENCE.fullmatch(self.passphrase):
            raise ValueError(
                "passphrase must name an environment variable, ${NAME}, and never be the passphrase itself"
            )
        return self


class RecordsSection(ConfigModel):
    """The database in which alerts wait for review. Give either `file` or `url`."""

    file: FilePath | None = Field(default=None, description="a SQLite file")
    url: str | None = Field(
        default=None, description="an SQLAlchemy address, for example PostgreSQL; secrets by variable: ${NAME}"
    )
    keys: FilePath | None = Field(
        default=None,
        description="folder of keys under which names are encrypted in the database, each destroyed at its deadline: "
        "copies that the database has made elsewhere become unreadable too",
    )

    @model_validator(mode="after")
    def _one_place(self) -> RecordsSection:
        if (self.file is None) == (self.url is None):
            raise ValueError("give either file, for SQLite, or url, for another database")
        return self


class AggregatesSection(ConfigModel):
    """Hourly counts over tracks, for `pylfr drift`: histograms without a face or a name."""

    folder: FilePath = Field(description="folder of the hourly files")
