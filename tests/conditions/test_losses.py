"""Damage at random, the same in every run: what of it is unseen is counted, and may only become less."""

from __future__ import annotations

import re
import subprocess
import sys

# Of what changes coded bytes alone (noise) decoders notice most, and no format checks the rest.
MOST_UNSEEN = {"noise": 12, "all": 16}


def test_hardly_anything_that_is_missing_is_unseen() -> None:
    """One try of each damage to each recording; a process of its own hears what decoders say."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.conditions.losses", "--tries", "1"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = {what: (int(unseen), int(total)) for what, unseen, total in re.findall(
        r"^(.+): (\d+) of (\d+) unseen", done.stdout, re.MULTILINE)}  # fmt: skip
    assert found["all"][1] > 150, done.stdout
    for what, (unseen, _) in found.items():
        assert unseen <= MOST_UNSEEN.get(what, 2), done.stdout
    assert done.stdout.endswith(" 0 of them with pictures missing\n"), done.stdout
