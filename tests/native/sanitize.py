"""Builds the core with sanitizers, and runs the native tests and damaged calls with it: what ``make sanitize`` does.

AddressSanitizer and UndefinedBehaviorSanitizer in one build, ThreadSanitizer in another. Python itself is compiled with
neither: what is checked is the core, and what other libraries do with its memory by way of libc. Needs g++ or clang++.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
# What has the core do work from several threads; the other tests tell ThreadSanitizer nothing.
_THREADED = (
    *("test_threads.py", "test_checks.py", "test_batch.py", "test_tracker.py", "test_template_pool.py"),
    "test_undue_reader.py",
)

# How many times in a row a program must start before it counts as reliable.
_PROBES = 5
_RANDOM_BITS = Path("/proc/sys/vm/mmap_rnd_bits")

# A sanitizer locks no memory for anybody.
_LOCKED = "tests/native/test_template_pool.py::test_the_kernel_was_told_to_lock_it_and_to_leave_it_out_of_dumps"
# ThreadSanitizer ends whoever forks while other threads run.
_FORKED = "tests/native/test_undue_reader.py::test_a_fork_has_neither_the_reads_nor_the_thread_of_its_parent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build of the core under sanitizers, and what is run with it."""

    name: str
    sanitizers: str
    libraries: tuple[str, ...]  # preloaded: the program that loads the core is not compiled with them
    options: dict[str, str]
    tests: tuple[str, ...]
    is_fuzzed: bool


BUILDS = (
    Build(
        name="address",
        sanitizers="address,undefined,float-cast-overflow",
        libraries=("asan", "ubsan", "stdc++"),
        options={
            # Python gives back at exit what it likes. An allocation of gigabytes is refused, as a small machine does.
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1"
            ":max_allocation_size_mb=2048:strict_init_order=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
        tests=("tests/native", "tests/test_ops.py", f"--deselect={_LOCKED}"),
        is_fuzzed=True,
    ),
    Build(
        name="thread",
        sanitizers="thread",
        libraries=("tsan", "stdc++"),
        options={
            "TSAN_OPTIONS": f"halt_on_error=1:history_size=4:suppressions={_ROOT / 'tests/native/tsan.supp'}",
            # Threads of BLAS are not what is looked at.
            "OPENBLAS_NUM_THREADS": "1",
        },
        tests=(
            *(f"tests/native/{name}" for name in _THREADED),
            *("tests/test_ops.py", f"--deselect={_LOCKED}", f"--deselect={_FORKED}"),
        ),
        is_fuzzed=False,
    ),
)


def compiled(build: Build, compiler: str) -> Path:
    """The core, compiled in build/sanitize/NAME."""
    folder = _ROOT / "build" / "sanitize" / build.name
    pybind11 = subprocess.run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], check=True, capture_output=True, text=True
    ).stdout.strip()
    configure = [
        *("cmake", "-S", str(_ROOT), "-B", str(folder), "-G", "Ninja", f"-Dpybind11_DIR={pybind11}"),
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-DCMAKE_CXX_COMPILER={compiler}"),
        # Sanitizers make the compiler warn of what is none.
        *(f"-DPYLFR_SANITIZE={build.sanitizers}", "-DPYLFR_WARNINGS_AS_ERRORS=OFF"),
    ]
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(configure, check=True, env=tools, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder)], check=True, env=tools, stdout=subprocess.DEVNULL)
    return folder / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"


def environment(build: Build, compiler: str) -> dict[str, str]:
    """What a program that loads the core needs. Raises ``SystemExit`` where a library is missing."""
    preloaded = []
    for library in build.libraries:
        name = f"lib{library}.so"
        found = subprocess.run([compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True)
        path = Path(found.stdout.strip())
        if not path.is_absolute():
            raise SystemExit(
                f"{compiler} has no {name}: install its sanitizers (Debian: libasan, libtsan of its version)"
            )
        preloaded.append(str(path.resolve()))
    return {**os.environ, **build.options, "LD_PRELOAD": " ".join(preloaded), "PYTHONMALLOC": "malloc"}


def _steady() -> list[str]:
    """What runs a program at addresses not drawn by chance: with some of those a sanitizer cannot start."""
    steady = ["setarch", "-R"]
    try:
        works = subprocess.run([*steady, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        works = False
    return steady if works else []


def why_not(steady: list[str], around: dict[str, str]) -> str:
    """Why no program can be started under this build; "" where it can be, time after time."""
    for _ in range(_PROBES):
        probe = [*steady, sys.executable, "-c", "pass"]
        done = subprocess.run(probe, check=False, capture_output=True, text=True, env=around)
        if done.returncode == 0:
            continue
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        if steady:
            return said
        try:
            bits = _RANDOM_BITS.read_text().strip()
        except OSError:
            bits = "unknown"
        return (
            f"{said}; addresses are drawn by chance here ({_RANDOM_BITS}: {bits} bits), and `setarch -R` is not "
            "allowed to prevent it: allow the system call personality, or set at most 28 bits"
        )
    return ""


def checked(build: Build, compiler: str, seconds: float, seed: int) -> bool:
    """Whether the tests, and damaged calls for these seconds, passed with this build."""
    around, steady = environment(build, compiler), _steady()
    reason = why_not(steady, around)
    if reason:
        print(f"== {build.sanitizers}: CANNOT RUN HERE, and nothing was checked with it: {reason}", flush=True)
        return False
    print(f"== {build.sanitizers}: compiling", flush=True)
    began, core = time.monotonic(), compiled(build, compiler)
    runs = [["pytest", "-q", "--capture=sys", "-p", "no:cacheprovider", *build.tests]]
    if build.is_fuzzed:
        runs.append(["tests.native.fuzz", "--seconds", str(seconds), "--seed", str(seed)])
    passed = True
    for run in runs:
        print(f"== {build.sanitizers}: {' '.join(run)} ({time.monotonic() - began:.0f} s so far)", flush=True)
        command = [*steady, sys.executable, "-m", "tests.native.with_core", str(core), *run]
        code = subprocess.run(command, check=False, env=around, cwd=_ROOT).returncode
        if code != 0:
            print(f"== {build.sanitizers}: FAILED with exit status {code}", flush=True)
        passed = passed and code == 0
    print(f"== {build.sanitizers}: {'passed' if passed else 'failed'} in {time.monotonic() - began:.0f} s", flush=True)
    return passed


def main() -> int:
    """Check every build, or the named one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of damaged calls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[build.name for build in BUILDS])
    parser.add_argument("--compiler", default="g++")
    given = parser.parse_args()
    builds = [build for build in BUILDS if given.only in (None, build.name)]
    return 0 if all(checked(build, given.compiler, given.seconds, given.seed) for build in builds) else 1


if __name__ == "__main__":
    sys.exit(main())
