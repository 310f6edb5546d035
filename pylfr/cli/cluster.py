"""``pylfr cluster``: one deployment on many machines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pylfr._internal.private_folder import make_private_folder
from pylfr.cli.console import escape, results, say, warn
from pylfr.errors import ConfigError, UsageError
from pylfr.governance.keys.keys import make_key, read_public_key
from pylfr.sizing.machine import this_machine
from pylfr.sizing.recommend import read_sized

if TYPE_CHECKING:
    from types import ModuleType

    from pylfr.cluster.status import ClusterStatus

commands = typer.Typer(help="One deployment on many machines, with Ray.", no_args_is_help=True)

DeploymentArgument = Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)]
AddressOption = Annotated[str, typer.Option(help="The Ray cluster, host:port; auto for the one on this machine.")]
NodeArgument = Annotated[str, typer.Argument(help="The node, as [cluster.nodes] names it.", show_default=False)]
_LOOK_EVERY_S = 1.0


@commands.command()
def keygen(
    folder: Annotated[Path, typer.Argument(help="A new folder for the node.", show_default=False)],
    head: Annotated[Path, typer.Option(help="The record's public key, by which the node knows its head.")],
) -> None:
    """Make the identity of a node, on its machine; its public key goes into [cluster.nodes]."""
    read_public_key(head)
    make_private_folder(folder.parent)
    folder.mkdir(mode=0o700)
    public = make_key(folder / "node.key")
    shutil.copyfile(head, folder / "head.pub")
    say(f"{folder / 'node.pub'}: key {public.fingerprint}; name it in [cluster.nodes] of the deployment")


@commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def node(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The node's folder, from `pylfr cluster keygen`.", show_default=False)],
    cameras: Annotated[
        int | None, typer.Option(help="How many cameras it can analyse, where --sized does not say it.", min=0)
    ] = None,
    sized: Annotated[
        Path | None, typer.Option(help="What `pylfr size --json` has measured on this machine.", show_default=False)
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster to join, host:port; without it this machine begins one.")
    ] = None,
    also: Annotated[
        list[Path] | None, typer.Option(help="The folder of another engine here: one for each further GPU; repeat.")
    ] = None,
) -> None:
    """Let this machine take part in a cluster, until `ray stop`. Other options go to `ray start` as they are.

    It runs one engine for each folder. With GPUs (`--num-gpus`, or those that Ray finds) each has one to itself.
    """
    _require_ray()
    room = _room(cameras, sized)
    folders = [folder, *(also or ())]
    for each in folders:
        if not (each / "node.key").is_file():
            raise ConfigError(f"{each} has no node.key: `pylfr cluster keygen` makes it")
    from pylfr.cluster.engine_slots import CAMERAS, ENGINES, FOLDER

    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    if address is None:
        # The token that joining machines need, made where there is none; never printed.
        subprocess.run([*ray, "get-auth-token", "--generate"], check=False, capture_output=True)
    where = ["--head", "--include-dashboard=false"] if address is None else [f"--address={address}"]
    done = subprocess.run(
        [
            *ray,
            "start",
            *where,
            f'--resources={{"{CAMERAS}": {room}, "{ENGINES}": {len(folders)}}}',
            *context.args,
        ],
        check=False,
        env={
            **os.environ,
            FOLDER: os.pathsep.join(str(each.resolve()) for each in folders),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_IGNORE_UNHANDLED_ERRORS": "1",
        },
    )
    if done.returncode:
        raise ConfigError(f"`ray start` failed with status {done.returncode}; it says why above")


@commands.command()
def run(
    deployment: DeploymentArgument,
    address: AddressOption = "auto",
    detach: Annotated[bool, typer.Option("--detach", help="Start it and leave; it goes on.")] = False,
) -> None:
    """Run a deployment on a cluster, or watch one that runs. Ctrl-C stops watching; `pylfr cluster stop` ends it."""
    driver = _connected(address)
    cluster = driver.start(deployment)
    said = ""
    while True:
        status = cluster.status()
        if (now := _line(status)) != said:
            say(now)
            said = now
        if status.unplaced:
            warn("notice", f"no node has room for {', '.join(status.unplaced)}: nobody analyses them")
        if detach:
            return
        if status.has_ended:
            cluster.close()
            say(f"ended: {status.stopped_because}; {status.alerts} alerts")
            return
        try:
            time.sleep(_LOOK_EVERY_S)
        except KeyboardInterrupt:
            say("it goes on; `pylfr cluster stop` ends it")
            return


@commands.command()
def status(deployment: DeploymentArgument, address: AddressOption = "auto") -> None:
    """What runs where."""
    driver = _connected(address)
    found = driver.find(deployment).status()
    table = Table(box=None, pad_edge=False)
    for column in ("node", "cameras", "room for", "last word", "watchlist", "state"):
        table.add_column(column, overflow="fold")
    for each in found.nodes:
        table.add_row(
            escape(each.name), escape(", ".join(each.cameras)), str(each.capacity), f"{each.beat_s_ago:.1f} s ago",
            f"{each.watchlist_revision}" + ("" if each.has_newest_watchlist else f", not {found.watchlist_revision}"),
            escape("drained" if each.is_drained else each.why or "runs"),
        )  # fmt: skip
    results().print(table)
    say(_line(found))


@commands.command()
def drain(node: NodeArgument, deployment: DeploymentArgument, address: AddressOption = "auto") -> None:
    """Move a node's cameras to the others and give it none, before maintenance."""
    driver = _connected(address)
    cluster = driver.find(deployment)
    cluster.drain(node)
    while any(each.cameras for each in cluster.status().nodes if each.name == node):
        time.sleep(_LOOK_EVERY_S)
    say(f"{node} has no cameras any more; `pylfr cluster undrain {node}` gives it some again")


@commands.command()
def undrain(node: NodeArgument, deployment: DeploymentArgument, address: AddressOption = "auto") -> None:
    """Give a node cameras again."""
    driver = _connected(address)
    driver.find(deployment).undrain(node)
    say(f"{node} takes cameras again")


@commands.command()
def stop(deployment: DeploymentArgument, address: AddressOption = "auto") -> None:
    """End every engine of a deployment, and its head; waits until the record has what they left."""
    driver = _connected(address)
    last = driver.end(driver.find(deployment))
    say(f"ended: {last.stopped_because}; {last.alerts} alerts")


def _room(cameras: int | None, sized: Path | None) -> int:
    """How many cameras this machine can analyse: as was said, or as was measured here."""
    if sized is None:
        if cameras is None:
            raise UsageError("give --sized, what `pylfr size --json` has measured on this machine, or --cameras")
        return cameras
    if cameras is not None:
        raise UsageError("give --sized or --cameras, not both")
    measured = read_sized(sized, this_machine())
    if not measured.confirmed:
        raise ConfigError(f"{sized} holds for short trials alone: let `pylfr size` come to its end")
    return measured.cameras


def _line(status: ClusterStatus) -> str:
    held = sum(len(each.cameras) for each in status.nodes)
    words = f"{len(status.nodes)} nodes, {held} cameras, {len(status.unplaced)} without room; {status.alerts} alerts"
    return words + (f"; stopped: {status.stopped_because}" if status.stopped_because else "")


def _connected(address: str) -> ModuleType:
    """The driver, connected to this Ray cluster."""
    driver = _require_ray()
    driver.connect(address)
    return driver


def _require_ray() -> ModuleType:
    try:
        from pylfr.cluster import driver
    except ImportError as error:
        raise ConfigError(f'{error.name} is not installed: pip install "pylfr[cluster]"') from error
    return driver
