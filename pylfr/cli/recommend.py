"""``pylfr models recommend``: which pair of networks to take for a use, on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pylfr._internal.atomic_file import write_result
from pylfr.cli.console import escape, results, say, warn
from pylfr.cli.present import chosen_runtime
from pylfr.cli.result_files import require_result_files
from pylfr.models.measured import read_measured
from pylfr.models.store import ModelStore, open_store
from pylfr.sizing.footage import ClipRules, find_portraits, make_clip
from pylfr.sizing.machine import this_machine
from pylfr.sizing.network_costs import measure_costs
from pylfr.sizing.recommend import Offer, Recommendation, Use, read_sized, recommend

_CLIP_S = 2
_BASIS = {"sized": "by pylfr size", "measured": "about", "scaled": "about, not installed"}


class Purpose(StrEnum):
    """What the licence must allow."""

    commercial = "commercial"
    research = "research"


def recommend_command(
    use: Annotated[
        Purpose, typer.Option(help="What the licences must allow; research includes networks that forbid business.")
    ] = Purpose.commercial,
    watchlist: Annotated[int, typer.Option(help="People on the watchlist.", min=1)] = 250,
    cameras: Annotated[
        int | None, typer.Option(help="Cameras that this machine must run.", min=1, show_default="as many as go")
    ] = None,
    detect_hz: Annotated[float, typer.Option(help="Detections per second and camera.", min=0.1)] = 8.0,
    faces: Annotated[int, typer.Option(help="Faces in every analysed frame.", min=0)] = 3,
    runtime: Annotated[str, typer.Option(help="What runs the networks.")] = "auto",
    sizing: Annotated[
        list[Path] | None, typer.Option(help="A result of `pylfr size --json` on this machine; repeat for more pairs.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure as JSON.")] = None,
) -> None:
    """Say which pair of networks to take: its licence, accuracy as measured by pylfr, and the cameras it allows here.

    Runs every installed network for a moment. The exit status is 1 where no pair fits.
    """
    console = Console(stderr=True)
    require_result_files({"--json": json_file}, inputs=sizing or [])
    machine = this_machine()
    sized = [read_sized(path, machine) for path in sizing or ()]
    wanted = Use(
        commercial=use is Purpose.commercial, watchlist=watchlist, cameras=cameras, detect_hz=detect_hz, faces=faces
    )
    runs_in = chosen_runtime(runtime, "cpu", console)
    store, measured = open_store(), read_measured()
    with console.status("making a clip") as status:
        clip = make_clip(ClipRules(seconds=_CLIP_S, faces=3), find_portraits(None, count=3))
        costs = measure_costs(
            clip, measured, store, runtime=runs_in, on_network=lambda name: status.update(f"running {escape(name)}")
        )
    recommendation = recommend(measured, store, wanted, costs, machine, sized)
    _print(recommendation, store)
    if json_file is not None:
        write_result(json_file, recommendation.as_json().encode())
        say(f"written to {json_file}")
    if recommendation.take is None:
        raise typer.Exit(1)


def _print(recommendation: Recommendation, store: ModelStore) -> None:
    say(recommendation.answer)
    table = Table(box=None, pad_edge=False)
    for column in ("detector", "embedder", "licence", "TPIR", "95 %", "enrolled", "threshold", "cameras", "", "fits"):
        table.add_column(column, overflow="fold")
    for each in recommendation.offers:
        table.add_row(*(escape(cell) for cell in _row(each)))
    results().print(table)
    use = recommendation.use
    say(
        f"TPIR at FPIR {recommendation.fpir:.0%} on {recommendation.material}: it compares networks, and promises "
        "nothing about your cameras (`pylfr evaluate`, `pylfr calibrate`)."
    )
    say(
        f"The threshold is what the embedder suggests for tracks and a watchlist of {use.watchlist}; none: nothing was "
        "measured with so many (`pylfr calibrate`)."
    )
    if any(each.capacity.basis != "sized" for each in recommendation.offers):
        say(
            f"Cameras follow from the processor time of decoding 1080p and of the networks, {use.detect_hz:g} "
            f"detections a second with {use.faces} faces each: `pylfr size` runs them, and finds what keeps up."
        )
    if recommendation.take is not None and recommendation.take.missing:
        for name in recommendation.take.missing:
            say(f"To get {name}: {store.how_to_get(name)}")
        here = next((each for each in recommendation.offers if not each.why_not and not each.missing), None)
        if here is not None:
            say(f"Until then, of what is installed: {here.detector} and {here.embedder}.")
    longest = max((each.search.watchlist for each in recommendation.offers), default=0)
    if use.watchlist > longest:
        warn("notice", f"nothing was measured beyond {longest} people enrolled: expect less at {use.watchlist}")
    if recommendation.machine.cuda_devices:
        warn("notice", "this machine has a CUDA device: the cameras are those of its processor alone")
    if recommendation.not_measured:
        warn("notice", f"not measured by pylfr, so not compared: {', '.join(recommendation.not_measured)}")


def _row(offer: Offer) -> tuple[str, ...]:
    search = offer.search
    return (
        offer.detector,
        offer.embedder,
        ", ".join(offer.licences),
        f"{search.tpir:.1%}",
        f"{search.low:.1%} to {search.high:.1%}",
        str(search.watchlist),
        "none" if offer.suggested is None else f"{offer.suggested:g}",
        str(offer.capacity.cameras),
        _BASIS[offer.capacity.basis],
        offer.why_not or "yes",
    )
