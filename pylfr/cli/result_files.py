"""Files that commands write: checked before anything runs, and replaced once there is something to replace them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from pylfr.deployment.config import Deployment
from pylfr.errors import ConfigError, UsageError


def require_result_files(files: Mapping[str, Path | None], *, inputs: Iterable[Path | None]) -> None:
    """Check where results will go, by option; ``inputs`` are files and folders that the command reads.

    Raises ``UsageError`` where a result is an input, lies over a file of an input folder, or is another result, and
    ``ConfigError`` where it could not be written.
    """
    read = [each for each in inputs if each is not None]
    seen: dict[Path, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        for source in read:
            if _is_same(path, source):
                raise UsageError(f"{option} must be a file of its own, got {path}, which is an input")
            if path.exists() and source.is_dir() and path.resolve().is_relative_to(source.resolve()):
                raise UsageError(f"{option} must be a file of its own, got {path}, which is in the input {source}")
        if path.resolve() in seen:
            raise UsageError(f"{option} must be a file of its own, got {path}, which {seen[path.resolve()]} names too")
        seen[path.resolve()] = option
        folder = path.resolve().parent
        if path.is_dir():
            raise ConfigError(f"{option} must be a file, got the folder {path}: name a file in it")
        if not folder.is_dir():
            raise ConfigError(f"{option} {path} cannot be written: the folder {folder} does not exist")
        if not os.access(folder if not path.exists() or path.is_file() else path, os.W_OK):
            raise ConfigError(f"{option} {path} cannot be written: no permission to write in {folder}")


def require_result_folder(option: str, folder: Path | None, *, inputs: Iterable[Path | None]) -> None:
    """Raise ``UsageError`` where a folder of results is, or lies in, a folder that the command reads."""
    for source in inputs:
        if folder is not None and source is not None and folder.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{option} must be a folder of its own, got {folder}, which is in the input {source}")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"{option} must be a folder, got the file {folder}")


def files_of(deployment: Deployment, path: Path) -> list[Path]:
    """The deployment file itself, the recordings it plays, and every file and folder that it names."""
    recordings = [path.parent / camera.source for camera in deployment.cameras if "://" not in camera.source]
    return [path, *recordings, *(each for _, each in leaves(deployment) if isinstance(each, Path))]


def leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every value of a record with its place, such as ``cameras.0.source``."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{place}.{key}".lstrip("."))
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from leaves(each, f"{place}.{index}")
    else:
        yield place, value


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
