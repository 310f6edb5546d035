"""The section on the cluster: which machines may be given the watchlist, and how long each may go on alone."""

from __future__ import annotations

from pydantic import Field

from pylfr._internal.toml_model import ConfigModel, Name
from pylfr.deployment.sections.fields import FilePath


class ClusterSection(ConfigModel):
    """The nodes of `pylfr cluster run`. Only a node whose key is named here is given the watchlist's key."""

    nodes: dict[Name, FilePath] = Field(
        default_factory=dict, description="name and public key file of each node, from `pylfr cluster keygen`"
    )
    folder: FilePath | None = Field(
        default=None, description="folder for the checkpoints of engines' logs; unset: engines, beside the audit log"
    )
    lease_s: float = Field(
        default=5.0, ge=1, le=60, description="an engine that the head does not reach stops recognising after this, s"
    )
