"""Maps and cubes of the overdensity at z = 0, and the cosmology that each is of."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.fields.design import RANGES
from zoo.data.fields.features import Summary, features
from zoo.data.fields.simulate import load
from zoo.data.fields.splits import OnMissing, SplitFields
from zoo.data.fields.views import Turned, coarse, slabs, smoothed
from zoo.data.sbi.priors.laws import Uniform
from zoo.data.sbi.priors.prior import Prior
from zoo.progress import track
from zoo.seeds import generator


class Fields(SplitFields):
    """What maps and cubes have in common; splits share no simulation.

    Parameters
    ----------
    train, validation, test : int
        Number of simulations in each split; their numbers in the set count on from split to split.
    design : dict, optional
        What differs from the default `FieldsConfig`.
    smoothing : float
        Deviation of a Gaussian by which densities are smoothed first, Mpc/h.
    summary : list of str, optional
        Summaries that stand in place of the fields, as `zoo.data.fields.features.features` has them.
    pairs : bool
        Whether the parameters are an input too, for a density of them given the field.
    dtype : {"float32", "float64"}
        Of the parameters where they are an input.
    seed : int
        Seed of the symmetries by which training fields are turned each epoch.
    path : str, optional
        Folder of the fields; by default one of the cache, for each set its own.
    on_missing : {"simulate", "fail"}
        Whether simulations that are missing are made, or an error names them.

    Raises
    ------
    InputError
        The splits have more simulations than the set.
    """

    fields = ("cosmology", "large-scale-structure", "n-body")

    def __init__(
        self,
        train: int = 1600,
        validation: int = 200,
        test: int = 200,
        design: dict[str, Any] | None = None,
        smoothing: float = 0.0,
        summary: list[Summary] | None = None,
        pairs: bool = False,
        dtype: Literal["float32", "float64"] = "float32",
        seed: int = 0,
        path: str | None = None,
        on_missing: OnMissing = "simulate",
    ) -> None:
        super().__init__({"train": train, "validation": validation, "test": test}, design, path, on_missing)
        self.smoothing, self.summary, self.seed = smoothing, summary, seed
        self.pairs, self.dtype = pairs, dtype
        self.prior = Prior({name: Uniform(low=RANGES[name][0], high=RANGES[name][1]) for name in self.config.parameters})
        self._made: dict[Split, tuple[np.ndarray, np.ndarray]] = {}

    def views(self, density: np.ndarray) -> np.ndarray:
        """The rows (m, side, ...) that one density is seen as."""
        raise NotImplementedError

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        """Rows of one split; training fields are turned, mirrored and shifted anew each epoch."""
        if split not in self._made:
            self._made[split] = self._views(split)
        fields, number = self._made[split]
        theta = self.config.design()[number]
        rng = generator([self.seed, epoch])
        if self.summary is None:
            given: dict[str, Any] = {"overdensity": Turned(fields, rng) if split == "train" else fields}
        else:  # which no turn changes
            given = {"summary": fields}
        return Rows(
            inputs={"theta": theta.astype(self.dtype), **given} if self.pairs else given,
            target=np.zeros((len(theta), 1), np.float32) if self.pairs else theta.astype(np.float32),
            group=number,
            truth=self.truth(number),
        )

    def _views(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a split, and the number of the simulation of each."""
        numbers = self.made(split)
        found = []
        for number in track(numbers.tolist(), f"fields: {split}"):
            one = load(self.folder, self.config, number)
            views = self.views(smoothed(one, self.config.box, self.smoothing))
            found.append(views if self.summary is None else features(views, self.config.box, self.summary))
        return np.concatenate(found), np.repeat(numbers, [len(views) for views in found])


@register_dataset("field-maps")
class FieldMaps(Fields):
    """Maps of slabs of the overdensity at z = 0, seen along three axes, and the cosmology that each is of.

    Parameters
    ----------
    slabs : int
        Slabs along each axis of a box; by default each is 25 Mpc/h thick.
    **parameters : object
        Parameters of `Fields`.
    """

    description = "maps of the overdensity of matter at z = 0 in slabs of simulated boxes, and their cosmologies"

    def __init__(self, slabs: int = 4, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.slabs = slabs

    def views(self, density: np.ndarray) -> np.ndarray:
        return slabs(density, self.slabs)


@register_dataset("field-cubes")
class FieldCubes(Fields):
    """Cubes of the overdensity at z = 0, and the cosmology that each is of.

    Parameters
    ----------
    cells : int
        Cells along a side of a cube, over each of which the density is averaged.
    **parameters : object
        Parameters of `Fields`.
    """

    description = "cubes of the overdensity of matter at z = 0 of simulated boxes, and their cosmologies"

    def __init__(self, cells: int = 32, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.cells = cells

    def views(self, density: np.ndarray) -> np.ndarray:
        return coarse(density, self.cells)[None]
