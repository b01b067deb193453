"""Jets as rows of high-level features, for networks and trees that take numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.jets.dataset import JetClouds
from zoo.data.jets.feature_files import features_of
from zoo.data.jets.features import FEATURES
from zoo.data.jets.packed import Jets
from zoo.data.jets.planing import planing_weights
from zoo.errors import UnknownNameError
from zoo.model.axes import Axis


@register_dataset("jet-features")
class JetFeatures(JetClouds):
    """The rows of `JetClouds` with features of each jet in place of its particles: input ``features`` (n, feature).

    Parameters
    ----------
    features : {"trigger", "shape", "subjets"}
        Which features: the 16 of the hls4ml jet set; mass, multiplicity and shapes; or groomed mass and ratios of
        N-subjettiness.
    planed : str, optional
        The truth, such as "mass", whose distribution in class 0 is made that of class 1 in training and validation, by weights;
        test rows have none.
    **parameters : object
        Parameters of `JetClouds`.

    Raises
    ------
    UnknownNameError
        There is no set of features of that name.
    """

    def __init__(self, features: str = "trigger", planed: str | None = None, **parameters: Any) -> None:
        super().__init__(**parameters)
        if features not in FEATURES:
            raise UnknownNameError("features", features, FEATURES)
        self.features, self.planed = features, planed
        self.description = self.description.replace("particles of", f"{features} features of")

    @property
    def axes(self) -> dict[str, Axis]:
        """The names and units of the features, and the classes."""
        nothing = np.zeros((0, 1, 3)), np.zeros((0, 1), bool), np.zeros((0, 1), np.int32)
        names = list(FEATURES[self.features](*nothing, self.config.radius))
        units = ["GeV" if name.startswith("mass") else "1" for name in names]
        return {"feature": Axis(name="feature", size=len(names), labels=names, units=units), "class": super().axes["class"]}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        rows = super().rows(split, epoch)
        if self.planed is None or split == "test":
            return rows
        return replace(rows, weight=planing_weights(rows, super().rows("train"), self.planed))

    def inputs(self, parts: Sequence[Jets], jets: Jets, chosen: np.ndarray) -> dict[str, Any]:
        found = features_of(parts, self.features, self.config.radius, self.identity)
        return {"features": np.concatenate(found)[chosen]}
