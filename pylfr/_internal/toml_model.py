"""TOML tables into frozen records: every key is known, and a mistake is named with what was expected."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from pylfr._internal.names import name_fault
from pylfr._internal.printable import excerpt
from pylfr._internal.regular_file import read_file
from pylfr.errors import PylfrError


def _named(name: str) -> str:
    fault = name_fault(name)
    if fault is not None:
        raise ValueError(fault)
    return name


# Names are in log lines, in tables and on pages.
Name = Annotated[str, AfterValidator(_named)]


class ConfigModel(BaseModel):
    """One table of a file. A key that it does not know is refused with the nearest one that it does."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _keys_are_known(cls, given: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Report unknown keys together with whatever else is wrong in the table, not instead of it."""
        unknown = [key for key in given if key not in cls.model_fields] if isinstance(given, dict) else []
        if not unknown or not isinstance(given, dict):
            return validate(given)
        errors = [_error(f"unknown key {excerpt(repr(key))}: {_hint(str(key), cls)}", (), None) for key in unknown]
        try:
            validate({key: value for key, value in given.items() if key not in unknown})
        except ValidationError as error:
            errors += [_error(each["msg"], each["loc"], each["input"]) for each in error.errors()]
        raise ValidationError.from_exception_data(cls.__name__, errors)


def _hint(key: str, kind: type[BaseModel]) -> str:
    near = difflib.get_close_matches(key[:_LONGEST_QUOTE], kind.model_fields, n=1, cutoff=0.5)
    return f"the nearest valid key is {near[0]!r}" if near else f"valid are {', '.join(kind.model_fields)}"


def _error(message: str, place: tuple[int | str, ...], given: object) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("config", message), loc=place, input=given)


# Keys whose values may be secrets, also where somebody wrote them down: no message repeats them.
_UNSHOWN = {(key,) for key in ("passphrase", "password", "secret", "source", "url", "username")}

_LARGEST_FILE = 1 << 22
# A file of thousands of mistakes is another kind of file: these many are named, each in so many characters.
_MOST_MISTAKES = 12
_LONGEST_QUOTE = 200

Record = TypeVar("Record", bound=ConfigModel)


def read_tables(path: Path, error_kind: type[PylfrError]) -> dict[str, object]:
    """The tables of a TOML file. Raises ``error_kind`` where it cannot be read or is not TOML."""
    try:
        return parse_tables(read_file(path, largest=_LARGEST_FILE), path, error_kind)
    except OSError as error:
        raise error_kind(f"{path} cannot be read: {error.strerror}") from error


def parse_tables(content: bytes, path: Path, error_kind: type[PylfrError]) -> dict[str, object]:
    """The tables in ``content``, which ``path`` held. Raises ``error_kind`` where it is not TOML."""
    try:
        return tomllib.loads(content.decode())
    except RecursionError as error:
        raise error_kind(f"{path} is not valid TOML: it is nested too deep") from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, and an integer of thousands of digits
        raise error_kind(f"{path} is not valid TOML: {excerpt(str(error), _LONGEST_QUOTE)}") from error


def record_from(tables: dict[str, object], kind: type[Record], *, path: Path, error_kind: type[PylfrError]) -> Record:
    """The record that ``tables`` describe; ``context["folder"]`` is where ``path`` lies.

    Raises ``error_kind`` naming the file, each key at fault, the trouble and the value.
    """
    made = validated(tables, kind, folder=path.resolve().parent)
    if isinstance(made, list):
        more = f"; and {len(made) - _MOST_MISTAKES} more" if len(made) > _MOST_MISTAKES else ""
        raise error_kind(f"{path}: {'; '.join(made[:_MOST_MISTAKES])}{more}")
    return made


def validated(tables: dict[str, object], kind: type[Record], *, folder: Path) -> Record | list[str]:
    """The record that ``tables`` describe, or every mistake in them, one text each."""
    try:
        return kind.model_validate(tables, context={"folder": folder})
    except ValidationError as error:
        return [explain(each) for each in error.errors()]


def explain(error: ErrorDetails) -> str:
    """One mistake in words: which key, what was expected, what was given."""
    place = excerpt(".".join(excerpt(str(part)) for part in error["loc"]), _LONGEST_QUOTE) or "file"
    trouble = error["msg"].removeprefix("Value error, ")
    given = error.get("input") if error["loc"][-1:] not in _UNSHOWN else None
    return f"{place}: {trouble}" + (f", got {_quoted(given)}" if isinstance(given, str | int | float) else "")


def _quoted(given: str | float) -> str:
    """``given`` as Python writes it, no longer than a message may be."""
    if isinstance(given, int) and abs(given) >= 10**_LONGEST_QUOTE:
        return f"an integer of more than {_LONGEST_QUOTE} digits"
    return excerpt(repr(given), _LONGEST_QUOTE)
