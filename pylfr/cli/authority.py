"""``pylfr authority``: who authorises a deployment. The officer signs; the operator cannot."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pylfr._internal.atomic_file import write_new
from pylfr._internal.canonical_json import utc_text
from pylfr.cli.console import say
from pylfr.cli.passphrase import PassphraseOption, named_passphrase, open_key
from pylfr.deployment.authorise import draft_authorisation, measurements_of, officers_of, require_authorised
from pylfr.deployment.resources import open_resources
from pylfr.errors import ConfigError
from pylfr.governance.authorisation.authority import plain_fields
from pylfr.governance.authorisation.draft import read_case, read_draft
from pylfr.governance.authorisation.readable import terms_of
from pylfr.governance.authorisation.signed import parse_authorisation, read_signed, sign_authorisation
from pylfr.governance.keys.keys import make_key

commands = typer.Typer(help="Authorisations: make keys, draft, sign, check.", no_args_is_help=True)

DeploymentArgument = Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)]


@commands.command()
def keygen(
    key: Annotated[Path, typer.Argument(help="File for the private key; the public key gets the suffix .pub.")],
    passphrase_env: PassphraseOption = None,
) -> None:
    """Make an Ed25519 key. An officer stores the private half where the operator cannot reach it."""
    public = make_key(key, passphrase=named_passphrase(passphrase_env))
    say(f"{key} is private, {key.with_suffix('.pub')} is public: {public.text}")
    if passphrase_env is None:
        say(f"{key} is not encrypted; --passphrase-env encrypts it")


@commands.command()
def draft(
    deployment: DeploymentArgument,
    out: Annotated[Path, typer.Option(help="File for the draft (JSON).", show_default=False)],
    case: Annotated[
        Path | None,
        typer.Option(help="TOML file with the words of the case: purpose, necessity, officers, window, references."),
    ] = None,
) -> None:
    """Draft an authorisation: what can be measured is filled in, the words come from CASE or stay blank."""
    with open_resources(deployment) as resources:
        fields = draft_authorisation(resources)
        certificates = measurements_of(resources)
    if case is not None:
        fields |= read_case(case, fields)
    fields.pop("signed_at")
    _write(out, json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n")
    for line in certificates:
        say(line)
    blank = [name for name, value in fields.items() if value == ""]
    say(f"{out}: to be read, " + (f"completed ({', '.join(blank)}) " if blank else "") + "and signed by the officer")


@commands.command()
def sign(
    draft: Annotated[Path, typer.Argument(help="The draft.", show_default=False)],
    key: Annotated[list[Path], typer.Option(help="The officer's private key; repeat for a second officer.")],
    out: Annotated[Path, typer.Option(help="File for the signed authorisation.", show_default=False)],
    passphrase_env: PassphraseOption = None,
) -> None:
    """Sign a complete draft. Whoever signs has read every field."""
    fields = read_draft(draft)
    authorisation = parse_authorisation(draft, {**fields, "signed_at": datetime.now(UTC).isoformat()})
    keys = tuple(open_key(each, passphrase_env) for each in key)
    _write(out, sign_authorisation(authorisation, keys))
    until, signers = utc_text(authorisation.ends_at), ", ".join(each.public.fingerprint for each in keys)
    say(f"{out}: authorisation {authorisation.reference}, {authorisation.place}, until {until}, signed by {signers}")


@commands.command()
def show(
    file: Annotated[Path, typer.Argument(help="A draft, or a signed authorisation (JSON).", show_default=False)],
) -> None:
    """Show a draft, or a signed authorisation, in plain words: all of it, for whoever signs it or works under it."""
    fields = read_draft(file)
    if isinstance(fields.get("authorisation"), dict):
        signed = read_signed(file)
        fields = plain_fields(signed.authorisation)
        say(f"authorisation {signed.authorisation.reference}")
    for term in terms_of(fields):
        say(f"{term.name}:")
        for line in term.lines:
            say(f"  {line}")


@commands.command()
def check(deployment: DeploymentArgument) -> None:
    """Check whether the deployment may run now; exit status 1 names everything that does not fit."""
    with open_resources(deployment) as resources:
        terms = require_authorised(resources)
        certificates = measurements_of(resources)
        signers = officers_of(resources)
    say(
        f"authorisation {terms.authority.reference} fits under profile {terms.profile.name}; "
        f"it ends at {utc_text(terms.authority.ends_at)}"
    )
    for line in (*signers, *certificates):
        say(line)


def _write(path: Path, content: bytes) -> None:
    """A new file for its owner alone: it names people."""
    try:
        write_new(path, content)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists already: name a new file, or remove that one first") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): name a file in a folder of yours") from error
