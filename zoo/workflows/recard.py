"""What a recipe says of a released model written anew: summary, limit and terms of its data, without any training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.atomic import whole_file, whole_folder, write_whole
from zoo.data.dataset import DATASETS, fields_of
from zoo.errors import ZooError
from zoo.families.state import apart
from zoo.model.card import prose_of, write_card
from zoo.model.model_json import read_spec, write_spec
from zoo.model.registry import RELEASED
from zoo.model.spec import CARD, METRICS, File, Metric, ModelSpec, onnx_file
from zoo.workflows.described import terms_of

if TYPE_CHECKING:
    from zoo.training.recipe import Recipe

WORDS = {"summary", "limit", "license", "citation"}
"""What a recipe says of a model beside how it is made and judged."""


@apart()
def recard(recipe: Recipe, folder: Path | None = None) -> Path:
    """Write summary, limit and terms of a recipe, and fields of its data, onto the card of the model released from it.

    Where the limit names a number that the card lacks, all that the recipe's evaluation knows without training is measured.
    Numbers of baselines that are the model itself are taken away; every other number stays what it was.

    Parameters
    ----------
    recipe : Recipe
        The recipe, which differs from the one that the model was made by in summary, limit, license and citation alone.
    folder : Path, optional
        Folder of the released model; by default among the released ones, ``model_cards/<name>``.

    Returns
    -------
    Path
        The folder. Weights, test tensors and prose stay; of graphs the summary that they carry is another.

    Raises
    ------
    ZooError
        The model was made by another recipe, or the limit names a number that nothing measures.
    """
    from zoo.training.evaluate import without_itself

    target = RELEASED / recipe.name if folder is None else folder
    content = json.loads((target / METRICS).read_text(encoding="utf-8"))
    _refuse_another(recipe, content["recipe"])
    measured = without_itself([Metric.model_validate(metric) for metric in content["metrics"]])
    if recipe.limit is not None:
        there = {metric.name for metric in measured}
        if recipe.limit.names - there:
            measured += [metric for metric in recipe.evaluation.without_training(recipe.data) if metric.name not in there]
        recipe.limit.value(measured)
    content["metrics"] = [metric.model_dump(mode="json") for metric in measured]
    content["recipe"] = recipe.recorded()
    spec, prose = read_spec(target), prose_of(target / CARD)
    with whole_folder(target, overwrite=True, marker=METRICS) as staged:
        shutil.copytree(target, staged, dirs_exist_ok=True)
        with whole_file(staged / METRICS, "w") as file:
            json.dump(content, file, indent=1)
        changed = {METRICS} | (_described_graphs(staged, spec, recipe.summary) if recipe.summary != spec.summary else set())
        files = [File.of(staged / file.path) if file.path in changed else file for file in spec.files]
        known = {"fields": fields_of(DATASETS.get(recipe.data.source)), **terms_of(recipe)}
        data = spec.data.model_copy(update=known)
        changes = {"summary": recipe.summary, "limit": recipe.limit, "metrics": measured, "files": files, "data": data}
        write_card(staged, write_spec(staged, spec.model_copy(update=changes)), prose)
    return target


def _described_graphs(folder: Path, spec: ModelSpec, summary: str) -> set[str]:
    """Write the summary into the graphs of a folder, which say what they are; names of the files. What they compute stays."""
    import onnx

    graphs = {path for path in map(onnx_file, spec.endpoints) if spec.file(path) is not None}
    for path in graphs:
        proto = onnx.load(folder / path)
        proto.doc_string = summary
        write_whole(folder / path, proto.SerializeToString(deterministic=True))
    return graphs


def _refuse_another(recipe: Recipe, made: dict[str, Any]) -> None:
    """Refuse a recipe by which other numbers would have come out."""
    of_before = {key: value for key, value in made.items() if key != "loss"}  # which recipes named before
    before = type(recipe).model_validate({**of_before, "endpoints": recipe.endpoints}).model_dump()
    now = recipe.model_dump()  # as plain data, since what was read of a file knows its folder too
    differ = [key for key in now if key not in WORDS and before[key] != now[key]]
    if differ:
        raise ZooError(
            f"{recipe.name}: expected the recipe that the model was made by, but for summary, limit, license and citation,"
            f" given another {', '.join(differ)}: release it anew"
        )
