"""``pylfr fleet``: signed bundles for many sites, and what the sites say of themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pylfr._internal.private_folder import make_private_folder
from pylfr.cli.console import escape, results, say, warn
from pylfr.errors import ConfigError
from pylfr.fleet.bundle import changed_files, install_bundle, installed_bundle, pack_bundle
from pylfr.governance.keys.keys import read_public_key, read_signing_key

commands = typer.Typer(help="Many sites: signed bundles to them, their state from them.", no_args_is_help=True)

SiteOption = Annotated[str, typer.Option(help="The name of the site.")]
IntoArgument = Annotated[Path, typer.Argument(help="The folder of installed bundles.", show_default=False)]
# A clock that is further off than this is named.
_SKEW_S = 5.0
_SOON = timedelta(days=1)


@commands.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="Deployment file, policy, networks.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A new file for the bundle.", show_default=False)],
    site: SiteOption,
    version: Annotated[int, typer.Option(help="Higher than that of the site's last bundle.", min=1)],
    key: Annotated[Path, typer.Option(help="The fleet's private key.")],
) -> None:
    """Make a signed bundle for one site. Private keys, watchlists and databases are refused: they stay at home."""
    made = pack_bundle(folder, out, site=site, version=version, made_at=datetime.now(UTC), key=read_signing_key(key))
    say(f"{out}: {len(made.files)} files for {site}, version {version}")


@commands.command()
def install(
    bundle: Annotated[Path, typer.Argument(help="The bundle.", show_default=False)],
    into: IntoArgument,
    site: SiteOption,
    key: Annotated[Path, typer.Option(help="The fleet's public key, brought here by a way that you trust.")],
) -> None:
    """Verify a bundle and use it from now on: all of it, or none. An older one than before is refused."""
    make_private_folder(into)
    done = install_bundle(bundle, into, site=site, key=read_public_key(key))
    say(f"{into / 'current'}: version {done.manifest.version} of {site}, {len(done.manifest.files)} files")


@commands.command()
def check(into: IntoArgument) -> None:
    """Say which bundle is used, and whether its files are as they were signed; exit status 1 where they are not."""
    found = installed_bundle(into)
    if found is None:
        raise ConfigError(f"{into} has no bundle: `pylfr fleet install` puts one there")
    changed = changed_files(found)
    for name in changed:
        warn("error", f"{name} is not what was signed")
    if changed:
        raise typer.Exit(1)
    say(f"version {found.manifest.version} of {found.manifest.site}: {len(found.manifest.files)} files, as signed")


@commands.command()
def status(
    fleet: Annotated[Path, typer.Argument(help="The sites (TOML).", show_default=False)],
    reports: Annotated[Path | None, typer.Option(help="A folder for the sites' public reports.")] = None,
) -> None:
    """Ask every site what it is, and change nothing; exit status 1 where one does not answer or is not ready."""
    try:
        from pylfr.fleet.sites import ask_sites, read_fleet
    except ImportError as error:
        raise ConfigError(f'{error.name} is not installed: pip install "pylfr[monitoring]"') from error
    found = ask_sites(read_fleet(fleet), reports=reports)
    table = Table(box=None, pad_edge=False)
    for column in ("site", "version", "state", "cameras", "alerts", "authorised until", "clock", "log", "received"):
        table.add_column(column, overflow="fold")
    now = datetime.now(UTC)
    for each in found:
        until = each.authorised_until
        ends = "" if until is None else f"{until:%Y-%m-%d %H:%M}Z" + (" soon" if until - now < _SOON else "")
        clock = f"{each.clock_ahead_s:+.0f} s" if abs(each.clock_ahead_s) > _SKEW_S else "right"
        cells = (
            (each.version, each.state, f"{each.cameras_up} of {each.cameras}", str(each.alerts), ends, clock,
             _number(each.entries), _number(each.received))
            if not each.trouble else ("", each.trouble)
        )  # fmt: skip
        table.add_row(escape(each.name), *map(escape, cells))
    results().print(table)
    if not all(each.is_ready for each in found):
        raise typer.Exit(1)


def _number(count: int | None) -> str:
    return "" if count is None else str(count)
