"""Damage what one reader is given, guided by coverage: ``python -m tests.readers.guided --reader "a signed file"``.

atheris instruments the modules of pylfr as they are imported, and none else: all of the environment takes minutes.
What breaks the reader is left in build/fuzz. Put it into tests/readers/corpus.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pylfr"]):
    from tests.readers.readers import READERS, attack, folder_name, make_whole

_OUT = Path("build/fuzz")


def main() -> None:
    """Attack the named reader until the time is over; libFuzzer then ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--reader", required=True, choices=sorted(READERS))
    given = parser.parse_args()
    _OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pylfr-fuzz-") as place:
        folder = Path(place)
        make_whole(folder)
        attacked, corpus = folder / "attacked", folder / "corpus"
        attacked.mkdir(mode=0o700)
        corpus.mkdir()
        (corpus / "whole").write_bytes((folder / READERS[given.reader].whole).read_bytes())
        kept = f"-artifact_prefix={_OUT}/{folder_name(given.reader)}-"
        atheris.Setup(
            [sys.argv[0], str(corpus), f"-max_total_time={round(given.seconds)}", kept],
            lambda content: attack(READERS[given.reader], content, attacked, folder),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
