"""Replies with a person's label each: what judges are measured against."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgr.data.parsers import BadRow
from dgr.data.rows import Table, file_problem, read_table
from dgr.judge import LABELS, UNPARSABLE, Case

NEEDED = ("prompt", "answer", "label")
FIELDS = (*NEEDED, "reasoning", "gold", "category", "id")
KNOWN = tuple(label for label in LABELS if label != UNPARSABLE)


@dataclass(frozen=True)
class Labelled:
    """A .jsonl, .json, .csv or .parquet file. `columns` maps each field of a case, and `label`, to a column or to
    several, of which the first that the file has is read; `labels` maps the file's labels to a judge's.
    """

    path: str
    columns: dict[str, str | list[str] | None]
    labels: dict[str, str]

    @property
    def file(self) -> Path:
        return Path(self.path).expanduser()

    def problems(self) -> list[str]:
        """What keeps the file from being read, all of it at once where there is more."""
        found = [
            f"data.columns.{field}: there is no such field; choose from {', '.join(FIELDS)}"
            for field in self.columns
            if field not in FIELDS
        ]
        found += [
            f"data.labels.{value}={label}: choose one of {', '.join(KNOWN)}"
            for value, label in self.labels.items()
            if label not in KNOWN
        ]
        problem = file_problem(self.file)
        if problem or found:
            return [*found, *([problem] if problem else [])]
        try:
            self.load()
        except ValueError as error:
            return str(error).splitlines()
        return []

    def load(self) -> list[tuple[Case, str]]:
        """Every case with its person's label; ValueError names what is wrong, a line for each mistake."""
        table = read_table(self.file)
        rows = self._rows(table)
        columns = self._columns(rows[0][1])
        unknown = Counter(str(row[columns["label"]]) for _, row in rows if self._label(row[columns["label"]]) is None)
        if unknown:
            named = ", ".join(f"{value!r} ({count})" for value, count in unknown.most_common(8))
            raise ValueError(
                f"{self.path}: column {columns['label']!r} holds labels that no judge gives: {named}; say what they "
                f"mean, e.g. '+data.labels.{unknown.most_common(1)[0][0]}=refusal' (one of {', '.join(KNOWN)})"
            )
        cases = [self._case(number, row, columns) for number, row in rows]
        twice = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
        if twice:
            raise ValueError(
                f"{self.path}: {len(twice)} ids stand in more than one row, such as {twice[0]!r}; set "
                "data.columns.id to a column of unique ids, or to null for the rows' numbers"
            )
        return [(case, self._label(row[columns["label"]])) for case, (_, row) in zip(cases, rows, strict=True)]

    def _rows(self, table: Table) -> Sequence[tuple[int, dict]]:
        bad = [f"{self.path}, {table.unit} {number}: {row}" for number, row in table.rows if isinstance(row, BadRow)]
        if bad:
            raise ValueError("\n".join(bad[:5]))
        if not table.rows:
            raise ValueError(f"data.path={self.path} has no rows")
        return table.rows

    def _columns(self, first: Mapping) -> dict[str, str]:
        """The column of each field that the file has; ValueError for the needed ones that it lacks."""
        found, missing = {}, []
        for field in FIELDS:
            named = self.columns.get(field) or []
            candidates = [named] if isinstance(named, str) else named
            column = next((name for name in candidates if name in first), None)
            if column is not None:
                found[field] = column
            elif field in NEEDED:
                missing.append(
                    f"data.path={self.path} has no column for {field} ({' or '.join(candidates) or 'none is named'}); "
                    f"its columns: {', '.join(map(str, first))}; set data.columns.{field}=NAME"
                )
        if missing:
            raise ValueError("\n".join(missing))
        return found

    def _case(self, number: int, row: Mapping, columns: Mapping[str, str]) -> Case:
        text = {field: str(row.get(column) or "") for field, column in columns.items() if field != "label"}
        return Case(
            id=text.get("id") or str(number),
            prompt=text["prompt"],
            reasoning=text.get("reasoning", ""),
            answer=text["answer"],
            gold=text.get("gold", ""),
            category=text.get("category", ""),
        )

    def _label(self, value: object) -> str | None:
        value = str(value).strip()
        return self.labels.get(value) or (value.lower() if value.lower() in KNOWN else None)
