"""Hydra's sweeper for studies that are more than one product of values (`hydra/sweeper=grids`)."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class GridsSweeper(BasicSweeper):
    """`grids` are products of values, run as one sweep; `values` is what they refer to, for a world to set."""

    def __init__(self, max_batch_size: int | None, params: Any, grids: list, values: dict) -> None:
        super().__init__(max_batch_size, params)
        self.grids = grids

    def sweep(self, arguments: list[str]) -> Any:
        """As Hydra's own, with the points of the grids in the place of one product."""
        self.arguments = arguments
        return super().sweep(arguments)

    def validate_batch_is_legal(self, batch: list[list[str]]) -> None:
        """Nothing: `dgr.command.check` has composed every point before Hydra was called."""

    def split_arguments(self, overrides: list, max_batch_size: int | None) -> list[list[list[str]]]:
        """Of `params` and the command line: `overrides` are both, parsed."""
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from omegaconf import OmegaConf

        from dgr.grid import expand

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        grids = OmegaConf.to_container(self.grids, resolve=True)
        points = expand(grids, parser.parse_overrides(self.arguments), parser)
        return list(self.split_overrides_to_chunks(points, max_batch_size)) if points else []
