"""Tables that people write: CSV in UTF-8 with a header, whole or refused in one error that names the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pylfr._internal.regular_file import read_file
from pylfr.errors import PylfrError

_LARGEST_FILE = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """One row: its line in the file, and its cells by column, without spaces around them; "" where one is empty."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """The columns of a table in their order, and its rows."""

    columns: tuple[str, ...]
    rows: tuple[CsvRow, ...]


def read_csv(path: Path, error_kind: type[PylfrError], *, what: str) -> CsvTable:
    """The table in ``path``, which messages call ``what``. Raises ``error_kind`` where it cannot be read."""
    try:
        text = read_file(path, largest=_LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise error_kind(
            f"{what} {path} must be UTF-8, got byte {error.start} that is not: save it as CSV UTF-8"
        ) from error
    except OSError as error:
        raise error_kind(f"{what} {path} cannot be read: {error.strerror}; name a CSV file") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        columns = tuple(name.strip() for name in next(reader, ()))
        for cells in reader:
            if not cells:
                continue
            if len(cells) > len(columns):
                raise error_kind(
                    f"{what} {path}, line {reader.line_num} has {len(cells)} cells for {len(columns)} columns: put "
                    "quotes around a cell that holds a comma"
                )
            padded = [*(cell.strip() for cell in cells), *[""] * (len(columns) - len(cells))]
            rows.append(CsvRow(line=reader.line_num, cells=dict(zip(columns, padded, strict=True))))
    except csv.Error as error:
        raise error_kind(
            f"{what} {path}, line {reader.line_num} is no row of CSV: {error}; save it as CSV UTF-8"
        ) from error
    return CsvTable(columns=columns, rows=tuple(rows))
