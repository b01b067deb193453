"""What a new family, data set, model and package begin as; ``$words`` are filled in by `zoo.workflows.scaffold`.

What they hold trains as it stands, so that each change can be tried.
"""

FAMILY = '''"""TODO: what this family is, in one line."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.layers import Standardize
from zoo.model.registry import register_family


@register_family("$name")
class $cls(ZooModel):
    """TODO: the formula. As it stands, p(class 1 | x) = sigmoid(w (x - mean) / scale + b).

    Parameters
    ----------
    inputs : int
        Number of input elements.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}  # name of an endpoint -> method; each becomes an ONNX graph
    squash: Literal["sigmoid", "softmax"] | None = "sigmoid"
    objective_name = "log loss, nat"

    def __init__(self, inputs: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config: dict[str, Any] = {"inputs": inputs}  # plain data that build the model again
        self.standardize = Standardize((inputs,), name="standardize")  # every layer has a name of its own
        self.head = keras.layers.Dense(1, name="head")
        self.head.build((None, inputs))  # every weight is there once the constructor is done
        self.built = True

    def call(self, x):
        """Inputs (batch, inputs) -> probability of class 1, (batch, 1)."""
        return ops.sigmoid(self.logits(x))

    def logits(self, x):
        """Log odds of class 1, (batch, 1). Pure keras.ops, no randomness."""
        return self.head(self.standardize(x))

    def objective(self, target, answer):
        """Loss of each row, (batch,)."""
        return keras.losses.binary_crossentropy(target, answer)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        """What is frozen or trained together, from the input on; every weight is in one of them."""
        return {"stem": [self.standardize], "head": [self.head]}

    def adapt(self, inputs, target) -> None:
        """Measure the scaling of the inputs on the training rows."""
        (x,) = inputs.values()
        self.standardize.adapt(x)

    def baseline(self, tensor: str):
        """The input from which explanations start: the mean of the training rows."""
        return ops.convert_to_numpy(self.standardize.mean)
'''

DATASET = '''"""TODO: what the rows are, in one line."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, groups, register_dataset


@register_dataset("$name")
class $cls:
    """TODO: inputs -> target. As it stands, points in the plane of two classes one deviation apart along each axis.

    Parameters
    ----------
    train, validation, test : int
        Number of rows in each split.
    seed : int
        Seed of all rows.
    """

    description = "points in the plane of two overlapping classes"
    simulator = "two normal distributions"
    units: ClassVar[dict[str, str]] = {}  # unit of each truth

    def __init__(self, train: int = 2000, validation: int = 500, test: int = 1000, seed: int = 0) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed = seed

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        """Rows of a split, decided by the seed; those of training may change with the epoch."""
        n = self.sizes[split]
        rng = np.random.default_rng([self.seed, list(self.sizes).index(split)])
        signal = rng.integers(0, 2, n)
        x = rng.normal(signal[:, None], 1.0, (n, 2))
        return Rows(
            inputs={"x": x.astype(np.float32)},
            target=signal[:, None].astype(np.float32),
            group=groups(self.sizes, split),  # the independent simulation of each row, which no two splits share
        )
'''

RECIPE = """# zoo train $file: progress and metrics
# zoo release $command
name: $name
family: $family
task: classification
summary: "TODO: what it takes and what it answers"
${license}config: {inputs: 2}
data:
  source: $dataset
  parameters: {train: 2000, validation: 500, test: 1000}
optimizer: {learning_rate: 0.05, schedule: cosine}
epochs: 10
batch_size: 100
seeds: [0, 1]
evaluation:
  kind: classification
  classes: [background, signal]
  baseline: scikit-learn
endpoints:
  predict:
    description: probability of the signal, classes taken as equally likely
    inputs:
      - name: x
        axes: [{name: quantity, size: 2}]
        unit: "1"
        description: "TODO: what it is; its unit above, \\"1\\" for a dimensionless number"
    outputs:
      - {name: probability, axes: [{name: answer, size: 1}], unit: "1", low: 0.0, high: 1.0, description: probability}
"""

LICENSE = "license: unknown  # TODO: of the data, such as CC-BY-4.0, and citation: what is to be cited for them\n"

FAMILY_TEST = '''"""What the family ``$name`` must pass."""

import numpy as np

from zoo.data.dataset import Rows
from zoo.model.registry import get_family
from zoo.testing import check_family


def test_$stem():
    """It builds, trains, saves, loads, exports and answers on every backend; what it lacks is said."""
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    target = (x[:, :1] > 0).astype(np.float32)
    check_family(get_family("$name"), {"inputs": 3}, Rows({"x": x}, target, np.arange(64)))
'''

DATASET_TEST = '''"""What the data set ``$name`` must pass."""

from zoo.data.dataset import get_dataset
from zoo.testing import check_dataset


def test_$stem():
    """Its seed decides every row, and no two splits share a simulation."""
    small = {"train": 200, "validation": 50, "test": 100}
    check_dataset(get_dataset("$name", **small), again=lambda: get_dataset("$name", **small))
'''

PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["physzoo[train,export,cpu]"]

[tool.setuptools]
packages = ["$package", "$package.models"]

[tool.setuptools.package-data]
$package = ["*.yaml"]
"$package.models" = ["*/*", "*/figures/*"]

[project.entry-points."zoo.models"]
$distribution = "$package.models"
"""
