"""Simulations of a set of fields in three splits, of which no two share one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.data.dataset import Split, groups
from zoo.data.fields.design import FieldsConfig
from zoo.data.fields.simulate import Kept, cached_fields, field_path, simulate
from zoo.errors import InputError

OnMissing = Literal["simulate", "fail"]


class SplitFields:
    """What data sets from a set of fields have in common.

    Parameters
    ----------
    sizes : dict of Split to int
        Number of simulations in each split; their numbers in the set count on from split to split.
    design : dict of str to object, optional
        What differs from the default `FieldsConfig`.
    path : str, optional
        Folder of the fields; by default one of the cache, for each set its own.
    on_missing : {"simulate", "fail"}
        Whether simulations that are missing are made, or an error names them.

    Raises
    ------
    InputError
        The splits have more simulations than the set.
    """

    kept: Kept = "density"
    """What of its simulations the data set reads."""

    def __init__(self, sizes: dict[Split, int], design: dict[str, Any] | None, path: str | None, on_missing: OnMissing) -> None:
        self.config = FieldsConfig.model_validate(design or {})
        if sum(sizes.values()) > self.config.simulations:
            raise InputError(f"expected at most {self.config.simulations} simulations in all splits, given {sizes}")
        self.sizes, self.on_missing = sizes, on_missing
        self.folder = cached_fields(self.config) if path is None else Path(path)
        self.simulator = self.config.nbody(0).simulator
        self.units = dict.fromkeys(self.config.parameters, "1")

    def made(self, split: Split) -> np.ndarray:
        """Numbers of the simulations of a split, whose files are there.

        Raises
        ------
        InputError
            Some are missing, and are not to be made.
        """
        numbers = groups(self.sizes, split)
        if self.on_missing == "simulate":
            simulate(self.folder, self.config, numbers.tolist(), kept=self.kept)
        elif missing := [int(one) for one in numbers if not field_path(self.folder, int(one), self.kept).exists()]:
            how = "" if self.kept == "density" else f" --kept {self.kept}"
            raise InputError(
                f"{self.folder}: {len(missing)} of {len(numbers)} simulations are missing, the first is number {missing[0]}:"
                f" 'zoo simulate fields{how}' makes them"
            )
        return numbers

    def truth(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters of some simulations by name, (n,) each."""
        return dict(zip(self.config.parameters, self.config.design()[numbers].T, strict=True))
