"""``pylfr drift``: a deployment's aggregate scores beside those that its certificate was measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pylfr.cli.console import say
from pylfr.errors import ConfigError
from pylfr.evaluation.drift import compare_scores, read_scores
from pylfr.governance.certificates import read_calibration


def drift(
    certificate: Annotated[Path, typer.Argument(help="The calibration certificate (JSON).", show_default=False)],
    scores: Annotated[
        Path, typer.Argument(help='JSON: {"non_mated_best": [200 counts, cosine -1 to 1]}.', show_default=False)
    ],
) -> None:
    """Say whether a deployment still sees what its threshold was measured on. Exit status 1 where it does not."""
    certified, _ = read_calibration(certificate)
    if not certified.non_mated_best:
        raise ConfigError(f"{certificate} holds no histogram of scores: make it anew with `pylfr calibrate`")
    found = compare_scores(certified.non_mated_best, read_scores(scores), threshold=certified.threshold)
    say(f"{found.searches:,} searches; stability index {found.stability:.3f}, distance {found.distance:.3f}")
    for share, before, now in found.quantiles:
        say(f"{100 * share:g} % of best scores lie below {now:.2f}, in the certificate below {before:.2f}")
    say(f"at or above the threshold: {found.above}; in the certificate: {found.above_certified}")
    say(found.verdict)
    if "calibrate again before" in found.verdict or "no longer" in found.verdict:
        raise typer.Exit(1)
