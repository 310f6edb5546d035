"""Runs a module with another build of the core: ``python -m tests.native.with_core CORE.so MODULE ARGUMENTS``."""

from __future__ import annotations

import runpy
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

NAME = "pylfr._core"


def main() -> None:
    core, module, *arguments = sys.argv[1:]
    loader = ExtensionFileLoader(NAME, str(Path(core).resolve()))
    spec = spec_from_loader(NAME, loader)
    if spec is None:
        raise SystemExit(f"{core} is no build of the core")
    # Before the package: whatever way it is installed, it finds this one.
    sys.modules[NAME] = module_from_spec(spec)
    loader.exec_module(sys.modules[NAME])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
