"""How far particles of simulated boxes went, and how far linear theory takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.fields.simulate import Kept, linear_displacement, load
from zoo.data.fields.splits import OnMissing, SplitFields
from zoo.data.fields.views import Turned
from zoo.progress import track
from zoo.seeds import generator


@register_dataset("field-displacements")
class FieldDisplacements(SplitFields):
    """Displacements at z = 0 of linear theory and of the simulation that begins there; splits share no simulation.

    Parameters
    ----------
    train, validation, test : int
        Number of simulations in each split; their numbers in the set count on from split to split.
    design : dict, optional
        What differs from the default `FieldsConfig`.
    seed : int
        Seed of the symmetries by which training boxes are turned each epoch.
    path : str, optional
        Folder of the files; by default one of the cache, for each set its own.
    on_missing : {"simulate", "fail"}
        Whether simulations that are missing are made, or an error names them.
    """

    fields = ("cosmology", "large-scale-structure", "n-body")
    description = "displacements of particles at z = 0 in linear theory and in simulated boxes of many cosmologies"
    kept: Kept = "displacement"

    def __init__(
        self,
        train: int = 400,
        validation: int = 25,
        test: int = 100,
        design: dict[str, Any] | None = None,
        seed: int = 0,
        path: str | None = None,
        on_missing: OnMissing = "simulate",
    ) -> None:
        super().__init__({"train": train, "validation": validation, "test": test}, design, path, on_missing)
        self.seed = seed
        self._read: dict[Split, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        """Boxes of one split; training boxes are turned, mirrored and shifted anew each epoch."""
        if split not in self._read:
            self._read[split] = self._boxes(split)
        number, *both = self._read[split]
        linear, final = (
            Turned(boxes, generator([self.seed, epoch]), vectors=True) if split == "train" else boxes for boxes in both
        )
        return Rows(inputs={"linear": linear}, target=final, group=number, truth=self.truth(number))

    def _boxes(self, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of simulations, and displacements (boxes, n, n, n, 3) in Mpc/h of linear theory and of themselves."""
        numbers = self.made(split)
        linear, final = np.empty((2, len(numbers), *[self.config.particles] * 3, 3), np.float32)
        for place, number in enumerate(track(numbers.tolist(), f"displacements: {split}")):
            linear[place] = linear_displacement(self.config, number)
            final[place] = load(self.folder, self.config, number, self.kept)
        return numbers, linear, final
