"""How a model is trained, as plain data: ``training/recipes/<name>.yaml`` or a user's own file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, JsonValue, PrivateAttr, ValidationError, model_validator

from zoo.data.dataset import Dataset, get_dataset
from zoo.errors import UnknownNameError, ZooError
from zoo.model.registry import get_family
from zoo.model.spec import Endpoint, Name, Strict, Tolerance

RECIPES = Path(__file__).parent / "recipes"


class _PlainYaml(yaml.SafeLoader):
    """Builds no objects, and takes 1e-3 for a number, which YAML 1.1 took for a string for want of a point."""


_PlainYaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class RecipeError(ZooError, ValueError):
    """A recipe, or a change to one, that is not valid."""


class Source(Strict):
    """A data set of ``zoo.data`` and its parameters."""

    source: str
    parameters: dict[str, JsonValue] = {}
    _folder: Path | None = PrivateAttr(None)
    """Of the recipe's file, for data that lie beside it; none for a recipe of this package, which can so name no file."""
    _made: dict[str, Dataset] = PrivateAttr(default_factory=dict)

    def dataset(self, **changes: JsonValue) -> Dataset:
        """The data set, some of its parameters changed, made once; RecipeError where it does not take them."""
        key = json.dumps(changes, sort_keys=True)
        if key not in self._made:
            try:
                self._made[key] = get_dataset(self.source, self._folder, **{**self.parameters, **changes})
            except TypeError as error:
                raise RecipeError(f"data set {self.source} does not take these parameters: {error}") from error
        return self._made[key]


class Optimizer(Strict):
    """Adam, its learning rate constant or falling to zero along a cosine after a linear warm-up; trees have the rate alone."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class Published(Strict):
    """A figure from the literature that stands beside one of our metrics."""

    metric: str
    value: float
    source: str


class Classification(Strict):
    """Binary classification: ROC, accuracy, calibration, and recall as detection gets harder."""

    kind: Literal["classification"]
    classes: tuple[str, str]
    """What targets 0 and 1 mean."""
    baseline: str | None = None
    """A released model, or "scikit-learn" for its logistic regression tuned on the validation split."""
    difficulty: str | None = None
    """The truth of a positive row on which its detection depends."""
    difficulty_at: list[float] = []
    """Values of it at which recall is reported, from rows within a quarter to either side."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets, the data's parameters changed: label -> changes."""
    published: list[Published] = []


class Latents(Strict):
    """Reconstruction, what each latent carries, and which physical quantities it maps to."""

    kind: Literal["latents"]
    quantities: list[str]
    """Truths that the latents are expected to find."""
    published: list[Published] = []


class Density(Strict):
    """Test log-likelihood, beside the true density where the data set knows it and a tuned Gaussian mixture."""

    kind: Literal["density"]
    beside: list[str] = []
    """Released models of the same data, whose log-likelihoods are shown too."""
    published: list[Published] = []


class Posterior(Strict):
    """Log-probability of the true parameters, calibration of the posterior, distance from a reference where there is one."""

    kind: Literal["posterior"]
    parameters: list[str]
    """Names of the parameters, in the order of the flow's variables."""
    published: list[Published] = []


class Regression(Strict):
    """Error of each output, absolute and in the data set's own scale, beside a polynomial regression."""

    kind: Literal["regression"]
    published: list[Published] = []


class Distribution(Strict):
    """Scatter, bias, coverage and likelihood of answers with an uncertainty, beside trees on the data set's own features."""

    kind: Literal["distribution"]
    trees: Source | None = None
    """The same rows with features for trees, which then stand beside the model."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets, the data's parameters changed: label -> changes."""
    published: list[Published] = []


class Disentanglement(Strict):
    """Reconstruction and use of the latents, how far each stands for one factor of the data's grid, over values of beta."""

    kind: Literal["disentanglement"]
    published: list[Published] = []


class Profiles(Strict):
    """Scatter along a profile, beside its mean and other descriptions, and which quantities the latents carry."""

    kind: Literal["profiles"]
    query: str
    """The input that is queried."""
    query_label: str
    answer_label: str
    """On figures, with units."""
    quantities: list[str]
    """Truths that the latents may have found."""
    separate: list[str] = []
    """Those of them that should each have a latent to itself."""
    boundary: float | None = None
    """Query below and above which errors are also given apart."""
    inside: str = "inside"
    outside: str = "outside"
    """What the parts are called."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets, the data's parameters changed: label -> changes."""
    published: list[Published] = []


class Variant(Strict):
    """The same recipe with some values changed, trained with the same care and reported beside the model."""

    description: str
    set: dict[str, JsonValue]


class Recipe(Strict):
    """Everything that ``zoo train`` needs, and what the card says of the model but for its numbers."""

    name: Name
    revision: str = "1"
    family: Name
    task: Name
    summary: str
    config: dict[str, JsonValue]
    data: Source
    loss: Literal[
        "binary_crossentropy",
        "mean_squared_error",
        "standardized_squared_error",
        "negative_log_prob",
        "negative_log_likelihood",
    ]
    optimizer: Optimizer = Optimizer()
    epochs: Annotated[int, Field(gt=0)]
    """Of boosted trees: the most trees."""
    patience: Annotated[int, Field(gt=0)] | None = None
    """Epochs (or trees) without a lower validation loss after which training stops; the weights of the lowest are kept."""
    batch_size: Annotated[int, Field(gt=0)] | None = None
    """Rows a step of a network; boosted trees are fitted on all rows at once and have none."""
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """The first is the released model's; the others measure the spread."""
    evaluation: Annotated[
        Classification | Latents | Density | Posterior | Regression | Distribution | Disentanglement | Profiles,
        Field(discriminator="kind"),
    ]
    variants: dict[Name, Variant] = {}
    endpoints: dict[Name, Endpoint]
    tolerance: Tolerance = Tolerance()
    test_rows: Annotated[int, Field(gt=1)] = 16
    """Rows of each endpoint's test tensors."""

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Recipe:
        if self.optimizer.warmup_epochs >= self.epochs:
            raise ValueError(f"warm-up of {self.optimizer.warmup_epochs} epochs does not fit into {self.epochs}")
        return self

    def untrained(self) -> Any:
        """A new model of the recipe's family; RecipeError where the family does not take the config."""
        try:
            return get_family(self.family)(**self.config)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"family {self.family} does not take this config: {error}") from error

    def changed(self, changes: dict[str, JsonValue]) -> Recipe:
        """A copy with dotted keys set, ``{"optimizer.learning_rate": 1e-4}``; RecipeError on an unknown key."""
        values = self.model_dump(mode="json")
        for key, value in changes.items():
            *parents, last = key.split(".")
            place: dict | None = values
            for parent in parents:
                place = place[parent] if isinstance(place, dict) and isinstance(place.get(parent), dict) else None
            if place is None or (last not in place and place is not values["data"]["parameters"]):
                raise RecipeError(str(UnknownNameError("recipe key", key, _keys(values))))
            place[last] = value
        return _validate(values, self.name, self.data._folder)


def _keys(values: dict, prefix: str = "") -> list[str]:
    nested = (_keys(v, f"{prefix}{k}.") if isinstance(v, dict) and v else [f"{prefix}{k}"] for k, v in values.items())
    return [key for keys in nested for key in keys if not key.startswith(("endpoints.", "variants."))]


def _validate(values: object, where: object, folder: Path | None = None) -> Recipe:
    try:
        recipe = Recipe.model_validate(values)
        recipe.data._folder = folder
        return recipe
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"recipe {where}: {problems}") from error


def recipe_names() -> list[str]:
    """Names of the recipes of this package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe of this package by model name, or any YAML file by path (ending in .yaml).

    A recipe given by path may take data, and a simulator, from files in its folder.

    Raises
    ------
    UnknownNameError
        For a name that has no recipe.
    RecipeError
        For a file that is not a recipe; only plain YAML is read, tags that build objects are refused.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        if str(name_or_path) not in recipe_names():
            raise UnknownNameError("recipe", str(name_or_path), recipe_names())
        path, folder = RECIPES / f"{name_or_path}.yaml", None
    else:
        folder = path.parent.resolve()
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _PlainYaml)  # noqa: S506
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not plain YAML: {error}") from error
    return _validate(values, path, folder)


def parse_changes(settings: list[str]) -> dict[str, JsonValue]:
    """``["epochs=3", "config.hidden=[32]"]`` as a dict; values are plain YAML, never evaluated."""
    changes: dict[str, JsonValue] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise RecipeError(f"expected --set key=value, given {setting!r}")
        try:
            changes[key] = yaml.load(value, _PlainYaml)  # noqa: S506
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {setting}: {value!r} is not plain YAML") from error
    return changes
