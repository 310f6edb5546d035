"""Manifests for tests, as TOML texts."""

from __future__ import annotations

import hashlib
from pathlib import Path

DETECTOR = """
task = "detect"
head = "yunet"
file = "finder.onnx"
about = "a detector for tests"

[source]
page = "https://example.org/finder"

[licence]
id = "MIT"
commercial_use = true

[pixels]
colour = "bgr"

[detect]
score_threshold = 0.6
"""

EMBEDDER = """
task = "embed"
head = "template"
file = "comparer.onnx"
about = "an embedder for tests"

[source]
page = "https://example.org/comparer"

[licence]
id = "MIT"
commercial_use = true

[pixels]
colour = "rgb"

[embed]
side_px = 224
dimension = 64
template = "arcface"
"""


def fetched_manifest(content: bytes, *, file: str, member: str | None = None, licence: str | None = None) -> str:
    """A manifest of a network with that content, served at https://example.org/get; a ``licence`` restricts its use."""
    source = f'page = "https://example.org"\nurl = "https://example.org/get"\nsize_bytes = {len(content)}\n'
    source += f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n' + (f'member = "{member}"\n' if member else "")
    text = DETECTOR.replace("finder.onnx", file).replace('page = "https://example.org/finder"\n', source)
    if licence is not None:
        text = text.replace('id = "MIT"\ncommercial_use = true', f'id = "{licence}"\ncommercial_use = false')
    return text


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path
