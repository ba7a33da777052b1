"""Rows of a local file: .jsonl, .json (a list of objects), .csv (with a header) and .parquet, text in UTF-8."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from dgr.data.parsers import BadRow, shown

EXTENSIONS = (".jsonl", ".json", ".csv", ".parquet")
GUESSED_FROM = 2**18  # bytes that an unknown encoding is guessed from
# Among all encodings there are, a short text in one of these is often taken for one that nobody uses.
ENCODINGS = [
    "utf_16",
    "utf_16_le",
    "utf_16_be",
    "utf_32",
    "cp1252",
    "cp1251",
    "cp932",
    "euc_jp",
    "gb18030",
    "big5",
    "euc_kr",
]


@dataclass(frozen=True)
class Table:
    """Rows with the number an error names them by: their line in a .jsonl file, else their place, both from 1.

    A row that could not even be read is there as its BadRow. `revision` is the commit that hub rows came from.
    """

    origin: str
    rows: list[tuple[int, dict | BadRow]]
    unit: str = "row"
    revision: str | None = None


def read_table(path: Path, key: str = "data") -> Table:
    """All rows of the file; ValueError if it is missing, of an unknown kind or not UTF-8.

    `key` is how the command line calls what the file belongs to.
    """
    problem = file_problem(path, key)
    if problem:
        raise ValueError(problem)
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return _table(path, pyarrow.parquet.read_table(path).to_pylist())
    text = _decoded(path)
    if path.suffix == ".jsonl":
        # Lines end at "\n" only: splitlines() would also cut at U+2028, which may stand inside a JSON string.
        lines = enumerate(text.split("\n"), start=1)
        return Table(str(path), [(number, _json_row(line)) for number, line in lines if line.strip()], unit="line")
    return _table(path, _csv_rows(text) if path.suffix == ".csv" else _json_list(path, text))


def file_problem(path: Path, key: str = "data") -> str | None:
    """What keeps the file from being read, seen without opening it."""
    if not path.exists():
        return f"{key}.path={path} does not exist; give the path of a {', '.join(EXTENSIONS)} file"
    if path.is_dir():
        return f"{key}.path={path} is a folder; give the path of a {', '.join(EXTENSIONS)} file"
    if path.suffix not in EXTENSIONS:
        return f"{key}.path={path} has the extension {path.suffix!r}; it must be one of {', '.join(EXTENSIONS)}"
    return None


def _table(path: Path, rows: list) -> Table:
    return Table(str(path), [(number, _checked(row)) for number, row in enumerate(rows, start=1)])


def _checked(row: object) -> dict | BadRow:
    return row if isinstance(row, dict) else BadRow(f"expected an object with columns, got {shown(row)}")


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start} (line {line}); it looks like "
            f"{_encoding(data)}; save the file as UTF-8"
        ) from None


def _encoding(data: bytes) -> str:
    """The likeliest encoding of text that is not UTF-8."""
    from charset_normalizer import from_bytes

    best = from_bytes(data[:GUESSED_FROM], cp_isolation=list(ENCODINGS)).best()
    return best.encoding.replace("_", "-") if best else "no text at all"


def _json_row(line: str) -> dict | BadRow:
    try:
        return _checked(json.loads(line))
    except json.JSONDecodeError as error:
        return BadRow(f"expected a JSON object, got {shown(line)} ({error})")


def _json_list(path: Path, text: str) -> list:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        hint = "; one object a line belongs in a .jsonl file" if error.msg == "Extra data" else ""
        raise ValueError(f"{path} is not valid JSON ({error}){hint}") from None
    if not isinstance(rows, list):
        raise ValueError(f"{path} must hold a list of objects, it holds {shown(rows)}")
    return rows


def _csv_rows(text: str) -> list[dict | object]:
    csv.field_size_limit(2**31 - 1)  # traces are longer than the module's 128 KiB
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="")
    return [list(row.values()) if "" in row else row for row in rows]
