"""``pylfr models``: which networks there are, where they lie, under which licence, and how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from pylfr.cli.console import escape, results, say, warn
from pylfr.cli.recommend import recommend_command
from pylfr.errors import ModelError
from pylfr.models.bundle import write_bundle
from pylfr.models.manifest import EmbedTable, ModelManifest
from pylfr.models.store import Model, ModelStore, open_store

commands = typer.Typer(help="Networks: recommend, list, show, verify, fetch, import.", no_args_is_help=True)
commands.command(name="recommend")(recommend_command)

NameArgument = Annotated[str, typer.Argument(help="A name from `pylfr models list`.", show_default=False)]
AcceptOption = Annotated[
    str | None, typer.Option("--accept-licence", help="Accept a licence that forbids commercial use, by its id.")
]


@commands.command(name="list")
def list_() -> None:
    """List every network with a manifest, and where its file is."""
    store = open_store()
    table = Table(box=None, pad_edge=False)
    for column in ("name", "task", "licence", "commercial use", "found in"):
        table.add_column(column, no_wrap=column == "name", overflow="fold")
    broken = []
    for name in store.names():
        try:
            manifest = store.manifest(name)
            path = store.find(name)
        except ModelError as error:
            broken.append(str(error))
            continue
        table.add_row(
            name,
            manifest.task,
            escape(manifest.licence.id),
            "yes" if manifest.licence.commercial_use else "no",
            escape(str(path.parent)) if path is not None else _absent(manifest),
        )
    results().print(table)
    for reason in broken:
        warn("error", reason)


@commands.command()
def show(name: NameArgument) -> None:
    """Show a network: source, licence, input and output."""
    store = open_store()
    manifest = store.manifest(name)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in _rows(manifest, store):
        table.add_row(row[0], escape(row[1]))
    results().print(table)


@commands.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="Only this network.", show_default=False)] = None,
) -> None:
    """Hash the files on this machine and compare them with their manifests; exit status 1 if one differs."""
    store = open_store()
    if name is not None:
        _report(store.resolve(name))
        return
    wrong = []
    for each in store.names():
        try:
            if store.find(each) is not None:
                _report(store.resolve(each))
        except ModelError as error:
            wrong.append(str(error))
    if wrong:
        raise ModelError("; ".join(wrong))


@commands.command()
def fetch(name: NameArgument, accept_licence: AcceptOption = None) -> None:
    """Download a network into your cache and verify it; what broke off is continued.

    Asks the mirrors that PYLFR_MODELS_MIRROR names, if any, and goes through the proxy that HTTPS_PROXY names.
    """
    store = open_store()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=None)

        def show_progress(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        model = store.fetch(name, accept_licence=accept_licence, on_progress=show_progress, on_address=say)
    print_notice(model.manifest)
    _report(model)


@commands.command()
def bundle(
    names: Annotated[list[str], typer.Argument(help="Names from `pylfr models list`.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The archive to write (.zip).", show_default=False)],
    accept_licence: AcceptOption = None,
) -> None:
    """Pack networks of this machine into one file for a machine without internet: `pylfr models import` reads it."""
    for model in write_bundle(open_store(), names, out, accept_licence=accept_licence):
        print_notice(model.manifest)
        say(f"{model.manifest.name}: packed, sha256 {model.sha256}")
    say(f"wrote {out}: on the other machine, `pylfr models import {out.name}`")


@commands.command(name="import")
def import_(
    path: Annotated[Path, typer.Argument(help="A network, a zip archive, or a folder of them.", show_default=False)],
    accept_licence: AcceptOption = None,
) -> None:
    """Copy known networks from a file, an archive or a folder into your cache; their hash identifies them."""
    for model in open_store().import_path(path, accept_licence=accept_licence):
        print_notice(model.manifest)
        _report(model)


def print_notice(manifest: ModelManifest) -> None:
    """Say on stderr what must be known before this network is used: its licence where it is restricted."""
    if manifest.notice is not None:
        warn("notice", manifest.notice)


def _report(model: Model) -> None:
    say(f"{model.manifest.name}: {model.path} is right, sha256 {model.sha256}")


def _absent(manifest: ModelManifest) -> str:
    return "not installed; fetch it" if manifest.source.url is not None else "not installed; import it"


def _thresholds(table: EmbedTable) -> str:
    suggested = [f"{each.threshold:g} for up to {each.watchlist:,}" for each in table.suggested_thresholds]
    return f"cosine, {', '.join(suggested)} reference images" if suggested else "none suggested"


def _rows(manifest: ModelManifest, store: ModelStore) -> list[tuple[str, str]]:
    source, licence, pixels = manifest.source, manifest.licence, manifest.pixels
    path = store.find(manifest.name)
    rows = [
        ("name", manifest.name),
        ("about", manifest.about),
        ("task", f"{manifest.task}, head {manifest.head}"),
        ("file", f"{path}" if path is not None else f"{manifest.file}, {_absent(manifest)}"),
        ("source", source.page),
        ("url", source.url or "none: import only"),
        ("sha256", source.sha256 or "none published: import only, under your own hash"),
        ("size", f"{source.size_bytes} bytes" if source.size_bytes is not None else "unknown"),
        ("licence", f"{licence.id}, {'any use' if licence.commercial_use else 'not for commercial use'}"),
        ("trained on", licence.trained_on),
        ("input", f"{pixels.colour.upper()}, (value - {list(pixels.mean)}) * {list(pixels.scale)}"),
        ("images a call", "any number" if pixels.max_batch is None else f"at most {pixels.max_batch}"),
    ]
    if manifest.warning is not None:
        rows.insert(2, ("warning", manifest.warning))
    if manifest.detect is not None:
        size = manifest.detect.fixed_size
        picture = f"long side {manifest.detect.side_px} px" if size is None else f"only {size[0]} x {size[1]} px"
        rows.append(("picture", picture))
        rows.append(("strides", ", ".join(map(str, manifest.detect.strides))))
        rows.append(("score from", f"{manifest.detect.score_threshold:g}"))
    if manifest.embed is not None:
        rows.append(("crop", f"{manifest.embed.side_px} px"))
        rows.append(("template", f"{manifest.embed.dimension} numbers"))
        rows.append(("threshold", _thresholds(manifest.embed)))
        rows.append(("rests on", manifest.embed.threshold_rests_on))
    return rows
