"""Two things never share a name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pylfr


def test_no_two_public_classes_have_one_name() -> None:
    root = Path(pylfr.__file__).parent
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(root)))
    assert len(places) > 100
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
