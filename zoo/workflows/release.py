"""From a recipe to a released model: train -> export -> parity -> card.

This joins the three wings, so it lies beside them in the core and imports them only when it runs.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.atomic import whole_folder
from zoo.errors import ZooError, option
from zoo.families.state import apart
from zoo.model.card import prose_of, write_card
from zoo.model.misspecification import Reference
from zoo.model.model_json import read_spec, write_spec
from zoo.model.reference_file import make_reference, observed_tensors
from zoo.model.registry import RELEASED, refuse_released_name
from zoo.model.spec import CARD, FIGURES, METRICS, REFERENCE, SPEC, WEIGHTS, ModelSpec
from zoo.workflows.described import SPLITS, describe, is_of_the_package
from zoo.workflows.folder import exported, test_inputs, write_test_tensors
from zoo.workflows.new_folder import expect_exportable
from zoo.workflows.train import train
from zoo.workflows.trained_ranges import with_answers

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset
    from zoo.training.recipe import Recipe


@apart()
def release(recipe: Recipe, out: Path, folder: Path | None = None) -> Path:
    """Train all seeds and variants in ``out``, then write the released model.

    Parameters
    ----------
    recipe : Recipe
        What is trained.
    out : Path
        The folder of the runs, where a killed release goes on.
    folder : Path, optional
        Folder of the released model; by default among the released ones, ``model_cards/<name>``.

    Returns
    -------
    Path
        The folder. The prose of a card that is already there stays.

    Raises
    ------
    ParityError
        If an exported graph does not answer as the model does; nothing is released then.
    ZooError
        A recipe that is not the package's own takes a released name, or comes without a folder.
    """
    import keras

    expect_exportable()
    target = RELEASED / recipe.name if folder is None else folder
    if not is_of_the_package(recipe):
        refuse_released_name(recipe.name, target)
        if folder is None:
            raise ZooError(f"{recipe.name}: a recipe of your own is released into a folder: give {option('folder', 'DIR')}")
    elif (backend := keras.backend.backend()) != "tensorflow":
        raise ZooError(f"{recipe.name}: released models hold ONNX graphs, which need KERAS_BACKEND=tensorflow, given {backend}")
    runs, evaluation = train(recipe, out, seeds=recipe.seeds, variants=True)
    if recipe.limit is not None:
        recipe.limit.value(evaluation.metrics)
    model = runs[""][0].load()
    dataset = recipe.data.dataset()
    prose, marker = first_card(target)
    earlier = _earlier_revisions(target, recipe.revision) if folder is None else {}
    with whole_folder(target, overwrite=True, marker=marker) as staged:
        shutil.copy(out / WEIGHTS, staged / WEIGHTS)
        shutil.copy(out / METRICS, staged / METRICS)
        shutil.copytree(out / "plots", staged / FIGURES)
        model.spec = describe(recipe, dataset, evaluation.metrics).model_copy(
            update={
                "limit": recipe.limit,
                "notes": evaluation.notes or None,
                "verdict": evaluation.verdict,
                "earlier_revisions": earlier,
            }
        )
        if model.spec.guards:  # else the training rows, which may take long to make, are not asked for once more
            model.spec = with_answers(model.spec, model, dataset.rows("train").inputs)
        if recipe.evaluation.kind == "posterior" and (reference := _reference(model.spec, dataset)):
            (staged / REFERENCE).write_bytes(reference.to_bytes())
        write_test_tensors(model, test_inputs(model, dataset, recipe.test_rows), staged)
        spec = write_spec(staged, exported(model, model.spec, staged))
        write_card(staged, spec, prose)
    model.spec = spec
    return target


def first_card(folder: Path) -> tuple[str | None, str]:
    """The prose of the card that lies where a model is released, and the file by which that folder may be replaced.

    Parameters
    ----------
    folder : Path
        The folder. Whoever writes the card before the first release has nothing else there, and front matter or none.

    Returns
    -------
    tuple of (str or None, str)
        The prose, None where there is no card; and the name of a file.

    Raises
    ------
    IntegrityError
        The card of a model that was released has lost its front matter.
    """
    card = folder / CARD
    if not card.is_file() or {path.name for path in folder.iterdir()} > {CARD}:
        return prose_of(card), METRICS
    text = card.read_text(encoding="utf-8")
    return (prose_of(card) if text.startswith("---") else text), CARD


def _earlier_revisions(folder: Path, revision: str) -> dict[str, str]:
    """The sha256 of the ``model.json`` of each revision before this one, of the released model that lies in a folder."""
    if not (folder / SPEC).exists():
        return {}
    before = read_spec(folder)
    if before.revision == revision:
        return before.earlier_revisions
    return {**before.earlier_revisions, before.revision: hashlib.sha256((folder / SPEC).read_bytes()).hexdigest()}


def _reference(spec: ModelSpec, dataset: Dataset) -> Reference | None:
    """What simulated observations are like, by which a posterior says of an observation that it is unlike them."""
    tensors = observed_tensors(spec.endpoint("sample"))
    if tensors is None:
        return None
    tensor, mask = tensors
    training, validation, test = (dataset.rows(split).inputs for split in SPLITS)

    def held_out(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(rows[name][:]) for rows in (validation, test)])

    masks = (None, None) if mask is None else (training[mask.name], held_out(mask.name))
    return make_reference(tensor, training[tensor.name], held_out(tensor.name), masks)
