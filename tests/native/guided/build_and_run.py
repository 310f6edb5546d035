"""Builds the core for libFuzzer, and lets it run: what ``make fuzz-core`` does. Needs clang with its runtime libraries.

What was found to be worth keeping is in build/fuzz/core, what broke the core beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_SANITIZERS = "address,undefined,float-cast-overflow"


def compiled(compiler: str) -> Path:
    """The fuzzer, compiled in build/guided."""
    folder = _ROOT / "build" / "guided"
    found = subprocess.run([sys.executable, "-m", "pybind11", "--cmakedir"], check=True, capture_output=True, text=True)
    configure = [
        *("cmake", "-S", str(_ROOT), "-B", str(folder), "-G", "Ninja", f"-Dpybind11_DIR={found.stdout.strip()}"),
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-DCMAKE_CXX_COMPILER={compiler}"),
        *(f"-DPYLFR_SANITIZE={_SANITIZERS},fuzzer-no-link", "-DPYLFR_WARNINGS_AS_ERRORS=OFF"),
    ]
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(configure, check=True, env=tools, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["cmake", "--build", str(folder), "--target", "core_fuzzer"], check=True, env=tools, stdout=subprocess.DEVNULL
    )
    return folder / "core_fuzzer"


def main() -> int:
    """Build, and fuzz for the seconds that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--compiler", default="clang++")
    given = parser.parse_args()
    if shutil.which(given.compiler) is None:
        print(f"{given.compiler} is not installed: apt-get install clang libclang-rt-14-dev", file=sys.stderr)
        return 2
    fuzzer = compiled(given.compiler)
    out = _ROOT / "build" / "fuzz" / "core"
    out.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYLFR_FUZZ_PYTHON": sys.executable,
        "PYTHONMALLOC": "malloc",
        # An allocation of gigabytes is refused, as a small machine does.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=2048",
        "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),
    }
    limits = [f"-max_total_time={given.seconds}", "-max_len=512", "-timeout=60", "-rss_limit_mb=4096"]
    command = [str(fuzzer), str(out), f"-artifact_prefix={out.parent}/core-", "-print_final_stats=1", *limits]
    return subprocess.run(command, check=False, env=environment, cwd=_ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
