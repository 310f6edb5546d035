"""How many 25-fps cameras this machine holds: `pylfr size` with the answer kept in benchmarks/results/sizing.json.

python -m benchmarks.sizing [any option of pylfr size]
"""

from __future__ import annotations

import sys

from benchmarks.measure import RESULTS
from pylfr.cli import main as pylfr


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    wanted = ["--json", str(RESULTS / "sizing.json"), "--plot", str(RESULTS / "sizing.png")]
    sys.argv = ["pylfr", "size", *wanted, *sys.argv[1:]]
    pylfr()


if __name__ == "__main__":
    main()
