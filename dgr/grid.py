"""The points of a grid: one product of values, or (in a study) several products one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

Grid = Mapping[str, Any]  # a list where a key takes several values


def expand(grids: Sequence[Grid], given: Sequence[Override], parser: OverridesParser) -> list[list[str]]:
    """One list of overrides a point, each point once. What was `given` on the command line wins over the grids.

    A group that was given (`refine=dgr`) takes the grids' values inside it (`refine.n`) away too. ValueError where a
    grid is not a mapping of keys.
    """
    keys = [override.get_key_element().lstrip("+~") for override in given]
    points: dict[tuple[str, ...], None] = {}
    for number, grid in enumerate(grids, start=1):
        if not isinstance(grid, Mapping):
            raise ValueError(f"hydra.sweeper.grids: entry {number} is {grid!r}; give keys and their values")
        own = {key: value for key, value in grid.items() if not any(f"{key}.".startswith(f"{one}.") for one in keys)}
        if [] in own.values():  # a key without a value: a grid that is empty in this world
            continue
        overrides = parser.parse_overrides([f"{key}={_value(value)}" for key, value in own.items()])
        for batch in BasicSweeper.split_arguments([*given, *overrides], None):
            points |= dict.fromkeys(map(tuple, batch))
    return [list(point) for point in points]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_value, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
