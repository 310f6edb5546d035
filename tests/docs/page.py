"""A page of the documentation as a program: its files, commands and outputs in the order in which they are printed.

A block with a title is a file of that name. ``sh`` and ``python`` blocks run, one after the other, in one folder and
one shell. A ``text`` block is what the block before it prints, with ``...`` for anything. A block that cannot run says
why in a comment before it: ``<!-- not run: REASON -->``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_BLOCK = re.compile(
    r"(?P<reason><!-- not run: (?P<why>[^>]+?) -->\s*\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)(?:[ ]+title=\"(?P<title>[^\"]+)\")?[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.DOTALL | re.MULTILINE,
)
_MARK = "=== block"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: ``why_not`` says why it does not run."""

    language: str
    title: str | None
    text: str
    why_not: str | None


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(text):
        indent = len(match["indent"])
        text = "".join(line[indent:] if line.strip() else "\n" for line in match["text"].splitlines(keepends=True))
        found.append(Block(language=match["language"], title=match["title"], text=text, why_not=match["why"]))
    return found


def pages() -> list[Path]:
    """README.md and every page of the site that somebody wrote."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def script(found: list[Block]) -> str:
    """The shell script that a page amounts to; each running block is preceded by a mark with its number."""
    lines = []
    for number, block in enumerate(found):
        if block.why_not is not None:
            continue
        if block.title is not None:
            folder = f"mkdir -p \"$(dirname '{block.title}')\""
            lines.append(f"{folder}\ncat > '{block.title}' <<'END-OF-FILE'\n{block.text}END-OF-FILE")
            continue
        if block.language not in ("sh", "python"):
            continue
        lines.append(f"echo '{_MARK} {number}'")
        lines.append(
            f"python - <<'END-OF-PYTHON'\n{block.text}END-OF-PYTHON" if block.language == "python" else block.text
        )
    return "\n".join(lines)


def run(text: str, folder: Path, *, prelude: str = "", networks: Literal["shipped", "here"] = "here") -> str:
    """Run the text of a page in ``folder`` and compare what it prints; gives all of its output.

    With ``networks`` as shipped, those that this machine has besides are hidden, as on a newcomer's. Raises
    ``AssertionError`` with the output where a block fails or prints something else.
    """
    found = blocks(text)
    around = {name: value for name, value in os.environ.items() if networks == "here" or name != "PYLFR_MODELS"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{prelude}\n{script(found)}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={
            **around,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "120",
            "XDG_CACHE_HOME": str(folder / ".cache"),
            "XDG_CONFIG_HOME": str(folder / ".config"),
        },
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    printed = {int(part.split("\n", 1)[0]): part.split("\n", 1)[1] for part in done.stdout.split(f"{_MARK} ")[1:]}
    for number, block in enumerate(found):
        if block.language == "text" and block.why_not is None and number - 1 in printed:
            assert shows(block.text, printed[number - 1]), (
                f"the page shows\n{block.text}\nbut its block printed\n{printed[number - 1]}\n{done.stderr}"
            )
    return done.stdout


def shows(text: str, printed: str) -> bool:
    """Whether ``printed`` has what a page shows: ``...`` is anything, and a number is one that is close.

    Scores and boxes differ a little between processors, and counts do not; a page shows those of one machine.
    """
    pattern = re.escape(" ".join(text.split())).replace(re.escape("..."), ".*?")
    found = re.search(_NUMBER.sub(r"(-?\\d+(?:\\.\\d+)?)", pattern.replace(r"\.", ".")), " ".join(printed.split()))
    wanted = [float(number) for number in _NUMBER.findall(text.replace("...", " "))]
    return found is not None and all(
        abs(float(got) - want) <= (0.1 if "." in got else 0.05 * abs(want))
        for want, got in zip(wanted, found.groups(), strict=True)
    )
