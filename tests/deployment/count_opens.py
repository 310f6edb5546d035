"""Runs a deployment and prints, as JSON, how often each file was opened until the first batch was taken.

python -m tests.deployment.count_opens deployment.toml
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from pylfr.deployment.open import open_engine
from pylfr.engine.observer import Observer
from pylfr.types import FrameBatch

OPENED: Counter[str] = Counter()
counting = True


def count(event: str, arguments: tuple[object, ...]) -> None:
    if counting and event in ("open", "sqlite3.connect") and isinstance(arguments[0], str | bytes | Path):
        path = Path(arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0])
        if not path.is_dir():
            OPENED[str(path.resolve())] += 1


class FirstBatch(Observer):
    def batch_taken(self, batch: FrameBatch) -> None:
        global counting
        counting = False


def main() -> None:
    sys.addaudithook(count)
    engine = open_engine(sys.argv[1], debuggable=True, observers=(FirstBatch(),))
    for _ in engine.run():
        pass
    assert not counting, "no batch was taken"
    print(json.dumps(OPENED))


if __name__ == "__main__":
    main()
