"""Gradient boosted trees of scikit-learn: not Keras, and used as if it were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo.atomic import whole_hdf5
from zoo.families.base import EndpointModel
from zoo.families.contracts import Prediction
from zoo.families.processes import expect_own_process
from zoo.families.tree_arrays import BASELINE, FIELDS, FIRST, check, first_trees, from_arrays, to_arrays
from zoo.families.tree_graph import convert_trees
from zoo.model.integrity import InMemory
from zoo.model.registry import register_family
from zoo.model.spec import Endpoint, Library

if TYPE_CHECKING:
    from onnx import ModelProto
    from sklearn.ensemble import HistGradientBoostingRegressor

MEAN, RATE = "mean", "learning_rate"


@register_family("boosted-trees")
class BoostedTrees(EndpointModel):
    """One number from a sum of regression trees.

    ``regressor`` is the scikit-learn estimator itself, which scikit-learn's and shap's own functions take.

    Parameters
    ----------
    inputs : int
        Number of input elements.
    max_leaf_nodes : int
        Most leaves of a tree.
    min_samples_leaf : int
        Fewest training rows in a leaf.

    Raises
    ------
    ValueError
        If a number is not whole or too small.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "predict"}
    library: ClassVar[Library] = "sklearn"
    no_gradient: ClassVar[str | None] = (
        "trees answer in steps, so their derivative is zero or does not exist: impurity_importance, permutation_importance,"
        " partial_dependence, occlusion, lime and shap need none"
    )
    no_fine_tuning = "trees have no weights to go on from: fit new ones with zoo train and a recipe"

    regressor: HistGradientBoostingRegressor
    """The estimator of scikit-learn; there is none before a fit or ``load_weights``."""

    def __init__(self, inputs: int, max_leaf_nodes: int = 31, min_samples_leaf: int = 20) -> None:
        self.config = {"inputs": inputs, "max_leaf_nodes": max_leaf_nodes, "min_samples_leaf": min_samples_leaf}
        for (name, value), least in zip(self.config.items(), (1, 2, 1), strict=True):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"expected {name} to be a whole number of at least {least}, given {value!r}")
        self.mean: np.ndarray | None = None

    def predict(self, x: Any) -> np.ndarray:
        """Answer rows (batch, inputs) with (batch, 1) float32 numbers."""
        expect_own_process()  # OpenMP waits in a fork as TensorFlow does
        rows = np.asarray(x, np.float32)
        if not len(rows):  # scikit-learn refuses an empty batch
            return np.empty((0, 1), np.float32)
        return self.regressor.predict(rows).astype(np.float32)[:, None]

    def __call__(self, x: Any) -> np.ndarray:
        """Answer as ``predict`` does."""
        return self.predict(x)

    def predictive(self, inputs: Mapping[str, np.ndarray], target: np.ndarray) -> Prediction:
        """Answers to rows of a data set; no density and no probability, which these trees do not give."""
        (x,) = inputs.values()
        return Prediction(self.predict(x)[:, 0].astype(np.float64))

    def estimator(self, learning_rate: float, seed: int) -> HistGradientBoostingRegressor:
        """An estimator of scikit-learn, of this config, before a fit, which grows on from call to call."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            learning_rate=learning_rate,
            max_leaf_nodes=self.config["max_leaf_nodes"],
            min_samples_leaf=self.config["min_samples_leaf"],
            early_stopping=False,
            warm_start=True,
            random_state=seed,
        )

    def take(self, fitted: HistGradientBoostingRegressor, trees: int, mean: np.ndarray) -> None:
        """Become the first trees of a fitted regressor, their thresholds rounded down to float32.

        A row goes left where x <= threshold. scikit-learn compares float32 rows with double thresholds, ONNX with float32
        ones; no float32 number lies between a double and the largest float32 number below it, so that after rounding both
        send every row the same way, and the same way as before.

        Parameters
        ----------
        trees : int
            Number of trees that are kept.
        mean : ndarray of shape (inputs,)
            The mean of the training rows.
        """
        arrays = first_trees(to_arrays(fitted), trees)
        arrays["num_threshold"] = rounded_down(arrays["num_threshold"])
        self._set(arrays, mean, fitted.learning_rate)

    def _set(self, arrays: dict[str, np.ndarray], mean: np.ndarray, rate: float) -> None:
        settings = {name: value for name, value in self.config.items() if name != "inputs"}
        self.regressor = from_arrays(arrays, self.config["inputs"], learning_rate=rate, **settings)
        self.mean = np.asarray(mean, np.float32)

    def baseline(self, tensor: str) -> np.ndarray | None:
        return self.mean

    def as_onnx(self, endpoint: str, described: Endpoint, opset: int) -> ModelProto:
        return convert_trees(self.regressor, self.config["inputs"], endpoint, described, opset)

    def save_weights(self, path: str | Path) -> None:
        """Write the trees as one array a field of their nodes: numbers only, nothing pickled."""
        arrays = to_arrays(self.regressor) | {MEAN: self.mean, RATE: np.array([self.regressor.learning_rate])}
        with whole_hdf5(Path(path)) as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, compression="gzip", track_times=False)

    def load_weights(self, path: str | Path | InMemory) -> None:
        """Take the trees of a file that ``save_weights`` wrote.

        Raises
        ------
        ValueError
            If the file holds other arrays, or no trees over these inputs; see ``tree_arrays.check``.
        """
        import h5py

        expected = {*FIELDS, FIRST, BASELINE, MEAN, RATE}
        with h5py.File(path, "r") as file:
            if set(file) != expected or not all(isinstance(item, h5py.Dataset) and item.shape for item in file.values()):
                raise ValueError(
                    f"expected the arrays {', '.join(sorted(expected))}, found {', '.join(sorted(file)) or 'none'}"
                )
            arrays = {name: np.asarray(item[()]) for name, item in file.items()}
        check(arrays, self.config["inputs"])
        for name, size in ((MEAN, self.config["inputs"]), (RATE, 1)):
            if arrays[name].shape != (size,) or arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name}: expected {size} finite floating-point numbers, given shape {arrays[name].shape}")
        if not np.array_equal(arrays["num_threshold"], rounded_down(arrays["num_threshold"])):
            raise ValueError("num_threshold: expected float32 numbers, as every runtime compares them")
        self._set(arrays, arrays[MEAN], float(arrays[RATE][0]))


def rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Each number, or the largest float32 number below it, as float64."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
        return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float64)
