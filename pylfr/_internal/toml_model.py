"""TOML tables into frozen records: every key is known, and a mistake is named with what was expected."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pylfr.errors import PylfrError


class ConfigModel(BaseModel):
    """One table of a file. A key that it does not know is refused with the nearest one that it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, given: object) -> object:
        for key in given if isinstance(given, dict) else ():
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                hint = f"the nearest valid key is {near[0]!r}" if near else f"valid are {', '.join(cls.model_fields)}"
                raise ValueError(f"unknown key {key!r}: {hint}")
        return given


# Keys whose values may be secrets, also where somebody wrote them down: no message repeats them.
_UNSHOWN = {(key,) for key in ("passphrase", "password", "secret", "source", "url", "username")}

Record = TypeVar("Record", bound=ConfigModel)


def read_tables(path: Path, error_kind: type[PylfrError]) -> dict[str, object]:
    """The tables of a TOML file. Raises ``error_kind`` where it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise error_kind(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise error_kind(f"{path} is not valid TOML: {error}") from error


def record_from(tables: dict[str, object], kind: type[Record], *, path: Path, error_kind: type[PylfrError]) -> Record:
    """The record that ``tables`` describe; ``context["folder"]`` is where ``path`` lies.

    Raises ``error_kind`` naming the file, each key at fault, the trouble and the value.
    """
    try:
        return kind.model_validate(tables, context={"folder": path.resolve().parent})
    except ValidationError as error:
        raise error_kind(f"{path}: " + "; ".join(explain(each) for each in error.errors())) from error


def explain(error: ErrorDetails) -> str:
    """One mistake in words: which key, what was expected, what was given."""
    place = ".".join(str(part) for part in error["loc"]) or "file"
    said = error["msg"].removeprefix("Value error, ")
    given = error.get("input") if error["loc"][-1:] not in _UNSHOWN else None
    return f"{place}: {said}" + (f", got {given!r}" if isinstance(given, str | int | float) else "")
