"""``import pylfr`` itself: cheap, complete, and clear about what is missing."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pylfr
from pylfr import errors

PACKAGE = Path(pylfr.__file__).parent


def python(code: str, *, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_importing_pylfr_loads_none_of_what_it_builds_on() -> None:
    heavy = ("numpy", "sqlalchemy", "alembic", "onnxruntime", "openvino", "torch", "av", "PIL", "pydantic", "typer")
    done = python(f"import pylfr, sys; print(*sorted(set({heavy!r}) & set(sys.modules)))")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_opening_networks_loads_no_database() -> None:
    done = python("import pylfr, sys; pylfr.open_detector; pylfr.open_embedder; print('sqlalchemy' in sys.modules)")
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_every_public_name_is_what_a_type_checker_sees() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.name: line.module for line in block.body if isinstance(line, ast.ImportFrom) for alias in line.names}
    assert set(pylfr.__all__) == {*seen, "__version__"}
    for name, module in seen.items():
        assert getattr(pylfr, name) is getattr(sys.modules[str(module)], name)
    assert set(pylfr.__all__) <= set(dir(pylfr))


def test_every_kind_of_error_is_at_the_top() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert kinds <= set(pylfr.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_everything'"):
        _ = pylfr.open_everything  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_installed_package() -> None:
    assert pylfr.__version__ == importlib.metadata.version("pylfr")


def test_a_source_folder_without_a_built_core_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pylfr").mkdir()
    shutil.copy(PACKAGE / "__init__.py", tmp_path / "pylfr")
    # Without what an editable installation hooks in, which would find the installed package.
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import pylfr"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"native core is not built in {tmp_path / 'pylfr'}: run `make build`" in done.stderr


def test_python_m_pylfr_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pylfr", "models", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    assert "pylfr_nano_detect" in done.stdout
