"""Folders that are their owner's alone."""

from __future__ import annotations

from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make ``folder``, and those above it that are missing, with the mode 0700 whatever the umask.

    One that exists stays as it is. Raises ``OSError``.
    """
    # Not `parents=True`: the folders above would have the mode of any new folder.
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)
