"""Imports the CUDA build out of its wheel and says what it is: `python import_cuda_wheel.py FOLDER_OF_WHEELS`.

It must import without a driver, and then count no devices. Not a test by itself; `make cuda` runs it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# The core by its path: neither an editable install nor the package's own imports come between.
REPORT = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

spec = spec_from_file_location("pylfr._core", sys.argv[1])
core = module_from_spec(spec)
spec.loader.exec_module(core)
print(f"built_with_cuda={core.built_with_cuda()} devices={core.cuda_device_count()} simd={core.simd_level()}")
sys.exit(0 if core.built_with_cuda() else "this wheel was built without CUDA")
"""


def newest_wheel(folder: Path) -> Path:
    """The wheel that was written last. Raises ``SystemExit`` where there is none."""
    wheels = sorted(folder.glob("pylfr-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise SystemExit(f"no pylfr wheel in {folder}: run `make cuda`")
    return wheels[-1]


def main() -> int:
    wheel = newest_wheel(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        cores = list(Path(folder).glob("pylfr/_core*.so"))
        if len(cores) != 1:
            raise SystemExit(f"{wheel.name} must hold one pylfr/_core*.so, got {len(cores)}")
        print(f"== {wheel.name}")
        return subprocess.run([sys.executable, "-c", REPORT, str(cores[0])], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
