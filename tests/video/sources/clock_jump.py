"""Analyses a live camera, five frames a second, and prints a line for each batch: its capture time and the system's.

python -m tests.video.sources.clock_jump rtsp://...
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from pylfr.video.batching.batcher import Batcher
from pylfr.video.open import open_rtsp


def main() -> None:
    with Batcher([open_rtsp(sys.argv[1], camera="north")], size=4, wait_ms=5, detect_hz=5) as batches:
        for batch in batches:
            print(batch.captured_at[1].timestamp(), datetime.now(UTC).timestamp(), flush=True)


if __name__ == "__main__":
    main()
