"""Private keys at the command line: a passphrase is asked for, or named by a variable, and never an argument."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pylfr.errors import ConfigError
from pylfr.governance.keys.keys import SigningKey, is_under_passphrase, read_signing_key

PassphraseOption = Annotated[
    str | None, typer.Option("--passphrase-env", help="Name of the environment variable that holds the passphrase.")
]


def open_key(path: Path, passphrase_env: str | None) -> SigningKey:
    """The private key in ``path``; its passphrase from the variable that is named, or asked for at a terminal."""
    passphrase = named_passphrase(passphrase_env)
    if passphrase is None and is_under_passphrase(path) and sys.stdin.isatty():
        passphrase = str(typer.prompt(f"passphrase of {path}", hide_input=True, err=True))
    return read_signing_key(path, passphrase=passphrase)


def named_passphrase(name: str | None) -> str | None:
    """The passphrase in the environment variable ``name``. Raises ``ConfigError`` where it is not set."""
    if name is None:
        return None
    if not os.environ.get(name):
        raise ConfigError(f"--passphrase-env names {name}, which is not set")
    return os.environ[name]
