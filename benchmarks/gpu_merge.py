"""Adds what a session on a GPU has measured to benchmarks/results/gpu.json: a newer row replaces the one before.

python -m benchmarks.gpu_merge gpu-results/gpu-depth.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.gpu_results import Results
from benchmarks.measure import Machine, read_results, write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="gpu-PLAN.json of benchmarks/gpu_session.sh")
    record = json.loads(parser.parse_args().file.read_text(encoding="utf-8"))
    newer = TypeAdapter(Results).validate_python(record["results"])
    results = read_results("gpu", Results) or Results(device=newer.device)
    results.update(newer)
    print(write_results("gpu", TypeAdapter(Machine).validate_python(record["machine"]), results))


if __name__ == "__main__":
    main()
