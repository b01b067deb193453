"""Simulations of one config in three splits, of which no two share one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from zoo.data.dataset import Split, groups
from zoo.data.nbody.simulate import NBodyConfig, OnMissing, Simulation, cached_simulations, load_simulations
from zoo.errors import InputError


class SplitSimulations:
    """What data sets from simulations have in common.

    Parameters
    ----------
    sizes : dict of Split to int
        Number of simulations in each split; their seeds count on from split to split.
    first_seed : int
        Seed of the first simulation.
    nbody : dict of str to object
        What differs from the default `NBodyConfig`.
    path : str
        Folder of the simulations; by default one of the cache, for each config its own.
    on_missing : OnMissing
        What becomes of simulations that are missing or damaged: "simulate" makes missing ones, "fail" names all of them, "skip"
        leaves them out.
    """

    def __init__(
        self, sizes: dict[Split, int], first_seed: int, nbody: dict[str, Any], path: str | None, on_missing: OnMissing
    ) -> None:
        if on_missing not in get_args(OnMissing):
            raise InputError(f"on_missing: expected {', '.join(get_args(OnMissing))}, given {on_missing}")
        self.config = NBodyConfig.model_validate(nbody)
        self.sizes, self.first_seed, self.on_missing = sizes, first_seed, on_missing
        self.folder = cached_simulations(self.config) if path is None else Path(path)
        self.simulator = self.config.simulator
        self._loaded: dict[Split, list[Simulation]] = {}

    def simulations(self, split: Split) -> list[Simulation]:
        """The simulations of a split, particles and cells as memory maps."""
        if split not in self._loaded:
            seeds = [self.first_seed + int(number) for number in groups(self.sizes, split)]
            self._loaded[split] = load_simulations(self.folder, self.config, seeds, self.on_missing)
        return self._loaded[split]
