"""``pylfr config``: the JSON schema of a deployment file, and every mistake in one at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from pylfr._internal.toml_model import read_tables, validated
from pylfr.cli.console import say, warn
from pylfr.cli.result_files import leaves
from pylfr.deployment.config import Deployment
from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import open_store

commands = typer.Typer(help="Deployment files: JSON schema, check.", no_args_is_help=True)

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
# Written by a run or by a command that follows it, so that they may be missing before the first start.
_WRITTEN_LATER = frozenset({"audit.path", "audit.checkpoints", "records.file", "aggregates.folder"})


@commands.command()
def schema() -> None:
    """Print the JSON schema of a deployment file, for completion and checks in an editor.

    In a file, name it in the first line: `#:schema ./deployment.schema.json`.
    """
    typer.echo(json.dumps(deployment_schema(), indent=2, ensure_ascii=False))


@commands.command()
def check(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
) -> None:
    """Report every mistake in a deployment file, one a line; exit status 1 if there is any.

    What fits the schema but is not on this machine yet (files, networks, environment variables) is a notice. Rules
    that span several sections are checked once each section is valid.
    """
    made = validated(read_tables(deployment, ConfigError), Deployment, folder=deployment.resolve().parent)
    if isinstance(made, list):
        for mistake in made:
            warn("error", f"{deployment}: {mistake}")
        raise typer.Exit(1)
    for gap in (*_missing_networks(made), *_missing_files(made), *_missing_variables(made)):
        warn("notice", f"{deployment}: {gap}")
    say(f"{deployment}: valid; {len(made.cameras)} cameras, {len(made.sinks)} sinks")


def deployment_schema() -> dict[str, object]:
    """The JSON schema of a deployment file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Deployment.model_json_schema()}


def _missing_networks(deployment: Deployment) -> Iterator[str]:
    store = open_store()
    for key in ("detector", "embedder"):
        name = getattr(deployment.models, key)
        try:
            if store.find(name) is None:
                yield f"models.{key}: {name} is not on this machine: `pylfr models list`"
        except ModelError as error:
            yield f"models.{key}: {error}"


def _missing_files(deployment: Deployment) -> Iterator[str]:
    for place, value in leaves(deployment):
        expected = isinstance(value, Path) and place not in _WRITTEN_LATER and not place.startswith("sinks.")
        if expected and not Path(str(value)).exists():
            yield f"{place}: {value} does not exist yet"


def _missing_variables(deployment: Deployment) -> Iterator[str]:
    for place, value in leaves(deployment):
        for name in _VARIABLE.findall(value) if isinstance(value, str) else ():
            if name not in os.environ:
                yield f"{place}: the environment variable {name} is not set"
