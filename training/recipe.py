"""How a model is trained, as plain data: ``training/recipes/<name>.yaml`` or a user's own file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    PrivateAttr,
    SerializeAsAny,
    StringConstraints,
    ValidationError,
    model_validator,
)

from zoo.data.dataset import Dataset, get_dataset
from zoo.errors import InputError, UnknownNameError, ZooError, fault
from zoo.model.axes import Strict
from zoo.model.limit import Limit
from zoo.model.registry import get_family
from zoo.model.spec import Endpoint, Name, Tolerance
from zoo.paths import expect_there, user_path
from zoo.training.evaluations import EvaluationSettings, evaluation_settings

RECIPES = Path(__file__).parent / "recipes"


class _PlainYaml(yaml.SafeLoader):
    """A loader that builds no objects, and takes 1e-3 for a number, which YAML 1.1 took for a string for want of a point."""


_PlainYaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class RecipeError(ZooError, ValueError):
    """A recipe, or a change to one, that is not valid."""


Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A text that says something."""


class Source(Strict):
    """A data set of ``zoo.data`` and its parameters."""

    source: str
    parameters: dict[str, JsonValue] = {}
    _folder: Path | None = PrivateAttr(None)
    """Folder of the recipe's file, for data beside it; none for a recipe of this package, which can so name no file."""
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
    optimizer: Optimizer = Optimizer()
    epochs: Annotated[int, Field(gt=0)]
    """Number of epochs, or of boosted trees the most trees."""
    patience: Annotated[int, Field(gt=0)] | None = None
    """Epochs (or trees) without a lower validation loss after which training stops; the weights of the lowest are kept."""
    batch_size: Annotated[int, Field(gt=0)] | None = None
    """Rows a step of a network; boosted trees are fitted on all rows at once and have none."""
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """Seeds of training: the first is the released model's; the others measure the spread."""
    evaluation: Annotated[SerializeAsAny[EvaluationSettings], BeforeValidator(evaluation_settings)]
    limit: Limit | None = None
    """The best that the data allow, which the card holds against one of the numbers."""
    license: Words | None = None
    """License of the data, such as CC-BY-4.0; of a recipe that is not this package's own "unknown" where it says none."""
    citation: Words | None = None
    """What is to be cited for the data."""
    variants: dict[Name, Variant] = {}
    endpoints: dict[Name, Endpoint]
    tolerance: Tolerance = Tolerance()
    test_rows: Annotated[int, Field(gt=1)] = 16
    """Rows of each endpoint's test tensors."""

    @model_validator(mode="before")
    @classmethod
    def _names_no_loss(cls, values: Any) -> Any:
        if isinstance(values, dict) and "loss" in values:
            raise ValueError(
                f"a recipe names no loss, given loss: {values['loss']}; family {values.get('family')} is trained on the"
                " objective that it declares: delete the line, or choose a family with another objective"
            )
        return values

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

    def recorded(self) -> dict[str, Any]:
        """The recipe as plain data beside what came of it; without endpoints, which the spec has, and terms it does not say."""
        unsaid = {name for name in ("license", "citation") if getattr(self, name) is None}
        return self.model_dump(mode="json", exclude={"endpoints"} | unsaid)

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
        problems = "; ".join(fault(one, "recipe") for one in error.errors())
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
        There is no recipe of that name.
    InputError
        There is no such file.
    RecipeError
        The file is not a recipe; only plain YAML is read, tags that build objects are refused.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        if isinstance(name_or_path, Path):
            raise InputError(f"{path}: expected a recipe, a file that ends in .yaml")
        if str(name_or_path) not in recipe_names():
            raise UnknownNameError("recipe", str(name_or_path), recipe_names())
        path, folder = RECIPES / f"{name_or_path}.yaml", None
    else:
        path = user_path(path)
        expect_there(path, "a recipe (.yaml)")
        folder = path.parent.resolve()
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _PlainYaml)  # noqa: S506
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not plain YAML: {error}") from error
    return _validate(values, path, folder)


def parse_changes(settings: list[str], flag: str = "--set") -> dict[str, JsonValue]:
    """Read ``["epochs=3", "config.hidden=[32]"]`` of a flag as a dict; values are plain YAML, never evaluated."""
    changes: dict[str, JsonValue] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise RecipeError(f"expected {flag} key=value, given {setting!r}")
        try:
            changes[key] = yaml.load(value, _PlainYaml)  # noqa: S506
        except yaml.YAMLError as error:
            raise RecipeError(f"{flag} {setting}: {value!r} is not plain YAML") from error
    return changes
