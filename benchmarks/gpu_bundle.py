"""All that a GPU machine without a network lacks, in one folder: ``make gpu-bundle``.

    python -m benchmarks.gpu_bundle [--python PYTHON] [--architecture 90] [FOLDER]

The folder gets the native core, compiled here for one architecture and one Python; ``site.tar.xz``, the packages that a
machine with PyTorch's usual company does not have; the networks and the clips that the tests need. The machine needs
x86-64, glibc 2.34, that Python, and PyTorch, NumPy, onnx, onnxruntime, pytest, Pillow, Rich and Typer. Tree and bundle
together must stay below a limit: what is too large to travel is refused here and not there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

import pybind11

from pylfr.models.store import open_store

ROOT = Path(__file__).parents[1]
MOST_MEBIBYTES = 64.0
MEBIBYTE = 1 << 20

# What pylfr imports and such a machine lacks; in the versions that are installed here, which the tests ran with.
PACKAGES = (
    "alembic",
    "annotated-types",
    "av",
    "cffi",
    "cryptography",
    "mako",
    "platformdirs",
    "pycparser",
    "pydantic",
    "pydantic-core",
    "sqlalchemy",
    "typing-inspection",
)
NETWORKS = ("yunet_n", "scrfd_500m_kps", "face_reid_0095")

_PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def compile_core(folder: Path, *, python: str, architecture: str) -> None:
    """The core for that Python and that architecture, without its symbols."""
    with tempfile.TemporaryDirectory(prefix="pylfr-core-") as build:
        subprocess.run(
            [
                "cmake",
                *("-S", str(ROOT), "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DPYLFR_CUDA=ON"),
                f"-DCMAKE_CUDA_ARCHITECTURES={architecture}",
                f"-DPython_EXECUTABLE={python}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
        (core,) = Path(build).glob("_core*.so")
        subprocess.run(["strip", str(core)], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(core, folder)


def download_wheels(folder: Path, *, python_version: str) -> None:
    """The wheels of ``PACKAGES``, none of what they ask for in turn."""
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python_version, *platforms),
            *("--dest", str(folder), *(f"{name}=={version(name)}" for name in PACKAGES)),
        ],
        check=True,
    )


def pack_site(wheels: Path, archive: Path) -> None:
    """Every wheel unpacked once, in one archive: no pip is needed there, and none of its time."""
    with tempfile.TemporaryDirectory(prefix="pylfr-site-") as site:
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(site)
        with tarfile.open(archive, "w:xz", preset=6) as packed_site:
            for path in sorted(Path(site).iterdir()):
                packed_site.add(path, path.name)


def copy_networks_and_clips(folder: Path, *, media: Path) -> None:
    store = open_store()
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        shutil.copy(store.resolve(name).path, folder / "models")
    shutil.copytree(media / "video", folder / "media" / "video", dirs_exist_ok=True)


def size_of_tree() -> int:
    """The bytes of what travels with the checkout: all that Git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sum((ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).is_file())


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def describe(folder: Path, *, tree: int, most_mebibytes: float) -> str:
    """What the bundle holds. Raises ``SystemExit`` where it is too large to travel with the tree."""
    lines = [
        f"{path.stat().st_size / MEBIBYTE:8.1f} MiB  {path.relative_to(folder)}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    whole = (size_of(folder) + tree) / MEBIBYTE
    lines.append(f"{tree / MEBIBYTE:8.1f} MiB  the tree")
    lines.append(f"{whole:8.1f} MiB  together, of {most_mebibytes:.0f} at most")
    text = "\n".join(lines)
    if whole > most_mebibytes:
        raise SystemExit(
            f"{text}\ntree and bundle must stay within {most_mebibytes:.0f} MiB, got {whole:.1f}: leave a network or a "
            "clip out"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "gpu")
    parser.add_argument("--python", default="python3.12", help="the machine's Python, with its headers, as it is here")
    parser.add_argument("--architecture", default="90", help="the GPU's compute capability without its point")
    parser.add_argument("--media", type=Path, required=True, help="the folder of footage, PYLFR_MEDIA")
    given = parser.parse_args()
    python = shutil.which(given.python)
    if python is None:
        sys.exit(f"--python must be a Python that is installed here, got {given.python}")
    asked = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        sys.exit(f"--python must be a Python that runs, got {given.python}: {asked.stderr.strip()}")
    folder: Path = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    compile_core(folder / "core", python=python, architecture=given.architecture)
    print(
        f"== compiled the core for Python {asked.stdout.strip()}, sm_{given.architecture}: {_since(began)}", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="pylfr-wheels-") as wheels:
        download_wheels(Path(wheels), python_version=asked.stdout.strip())
        pack_site(Path(wheels), folder / "site.tar.xz")
    print(f"== packed {len(PACKAGES)} packages: {_since(began)}", flush=True)
    copy_networks_and_clips(folder, media=given.media)
    print(describe(folder, tree=size_of_tree(), most_mebibytes=MOST_MEBIBYTES))
    for plan in ("proof", "depth"):
        subprocess.run([str(ROOT / "benchmarks" / "gpu_session.sh"), "--list", plan], check=True)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s in all"


if __name__ == "__main__":
    main()
