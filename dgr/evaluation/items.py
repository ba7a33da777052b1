"""Items of public benchmarks: rows of a hub dataset or of a local file, read by a map of columns."""

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from dgr.data.parsers import BadRow, Row, filled, shown
from dgr.data.stored import Stored
from dgr.evaluation.benchmark import Item
from dgr.sample import seed_for

log = logging.getLogger(__name__)

FIELDS = ("prompt", "gold", "id", "category")


@dataclass(frozen=True, kw_only=True)
class StoredItems(Stored):
    """One item a row. Its id is `<name>/<the row's id>`, or its row's number where the rows have none.

    `columns` maps the fields of an item to the rows' columns; of several names the first that a row has is read.
    `template` is what the model is asked, with the prompt in the place of `{prompt}`. `where` keeps the rows that have
    these values. `distinct` leaves out prompts that were there before; `first` keeps that many of what is left.
    `gold_after`: the right answer stands after the last such mark. `load_options` go to `datasets.load_dataset`.
    """

    name: str
    columns: dict[str, Any]
    template: str
    language: str = "natural"
    where: dict[str, Any] = field(default_factory=dict)
    distinct: bool = False
    first: int | None = None
    gold_after: str | None = None
    load_options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"evaluation.benchmarks.{self.name}.items"

    @property
    def options(self) -> dict:
        return self.load_options

    def problems(self) -> list[str]:
        found = [
            f"{self.key}.columns.{name} is no field of an item; the fields are {', '.join(FIELDS)}"
            for name in self.columns
            if name not in FIELDS
        ]
        if "prompt" not in self.columns:
            found.append(f"{self.key}.columns.prompt is not set; name the column that holds each row's prompt")
        if "{prompt}" not in self.template:
            found.append(f"{self.key}.template={self.template!r} has no place for {{prompt}}")
        found = found or super().problems()
        if found or self.path is None:
            return found
        try:
            self.load_with_report()
        except ValueError as error:
            return [str(error)]
        return []

    def load_with_report(self) -> tuple[list[Item], dict]:
        """The items, and where they came from. ValueError names the first bad row, or two rows with one id."""
        table = self.table()
        items: dict[str, Item] = {}
        prompts: set[str] = set()
        for number, row in table.rows:
            try:
                item = self._item(number, row)
            except BadRow as error:
                raise ValueError(f"{table.origin}, {table.unit} {number}: {error}") from None
            if item is None or (self.distinct and item.prompt in prompts):
                continue
            if item.id in items:
                raise ValueError(f"{table.origin}, {table.unit} {number}: id {item.id!r} occurs twice; ids must differ")
            items[item.id] = item
            prompts.add(item.prompt)
            if len(items) == self.first:
                break
        if not items:
            raise ValueError(f"{table.origin}: none of {len(table.rows)} rows passes {self.key}.where={self.where}")
        log.info("%s: %d items of %d rows", table.origin, len(items), len(table.rows))
        report = {"origin": table.origin, "revision": table.revision, "rows": len(table.rows), "items": len(items)}
        return list(items.values()), report

    def _item(self, number: int, row: Row | BadRow) -> Item | None:
        """The row's item, None for a row that is none; BadRow for one that cannot be read."""
        if isinstance(row, BadRow):
            raise row
        if not self._wanted(row):
            return None
        own = self._optional(row, "id")
        item_id = f"{self.name}/{own or f'{number:05d}'}"
        prompt, gold = self.texts(row, item_id)
        return Item(item_id, self.template.replace("{prompt}", prompt), gold, self._optional(row, "category"))

    def texts(self, row: Row, item_id: str) -> tuple[str, str]:
        """The prompt that goes into the template, and the right answer."""
        return self._text(row, "prompt"), self._gold(row) if self.columns.get("gold") else ""

    def _gold(self, row: Row) -> str:
        text = self._text(row, "gold")
        if self.gold_after is None:
            return text
        _, mark, gold = text.rpartition(self.gold_after)
        if not mark or not gold.strip():
            raise BadRow(f"expected the right answer after {self.gold_after!r}, got {shown(text)}")
        return gold.strip()

    def _wanted(self, row: Row) -> bool:
        for column, value in self.where.items():
            if column not in row:
                raise BadRow(f"expected a column {column!r}, the row has {', '.join(map(str, row))}")
            if str(row[column]).strip().lower() != str(value).lower():  # a csv file holds "False" for false
                return False
        return True

    def _text(self, row: Row, name: str) -> str:
        names = self._names(name)
        if not any(column in row for column in names):
            has = ", ".join(map(str, row)) or "no columns"
            raise BadRow(f"expected a column {' or '.join(map(repr, names))} for the {name}, the row has {has}")
        return filled(self._optional(row, name), f"column {' or '.join(map(repr, names))}")

    def _optional(self, row: Row, name: str) -> str:
        """A field's text, or "" where the row has none."""
        value = next((row[column] for column in self._names(name) if row.get(column) is not None), "")
        if isinstance(value, Mapping | list | tuple):  # BeaverTails' {category: bool}, lists of names
            names = [key for key, holds in value.items() if holds] if isinstance(value, Mapping) else value
            return "; ".join(map(str, names))
        return str(value).strip()

    def _names(self, name: str) -> list[str]:
        column = self.columns.get(name)
        return column if isinstance(column, list) else [column] if column else []


@dataclass(frozen=True, kw_only=True)
class ChoiceItems(StoredItems):
    """Questions with lettered options: the right one in the column of `gold`, the wrong ones in `others`.

    Each item's options are in an order of its own, drawn from `order_seed` and the item's id; the right answer is a
    letter.
    """

    others: list[str]
    order_seed: int

    def texts(self, row: Row, item_id: str) -> tuple[str, str]:
        options = [self._text(row, "gold")]
        for column in self.others:
            if not str(row.get(column) or "").strip():
                raise BadRow(f"expected an option in column {column!r}, the row has {', '.join(map(str, row))}")
            options.append(str(row[column]).strip())
        order = list(range(len(options)))
        random.Random(seed_for(self.order_seed, "options", item_id)).shuffle(order)
        lettered = zip(ascii_uppercase, order, strict=False)
        lines = [f"({letter}) {options[index]}" for letter, index in lettered]
        question = self._text(row, "prompt")
        return f"{question}\n\n" + "\n".join(lines), ascii_uppercase[order.index(0)]
