"""The rows that a model is calibrated, explained or rounded with: those that its own folder records, or a user's.

Rows of another model's data would give numbers that look right and are not, so nothing here goes by a model's name.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from zoo.data.dataset import DATASETS, Dataset, Rows, Split, get_dataset
from zoo.errors import InputError, IntegrityError, UnknownNameError, option
from zoo.model.axes import Strict
from zoo.model.spec import METRICS, ModelSpec, Sha256
from zoo.paths import user_path

if TYPE_CHECKING:
    from zoo.families.base import EndpointModel
    from zoo.model.handed_in.columns import Columns
    from zoo.training.user_data import UserData


class MissingSimulationsError(InputError):
    """Rows that would have to be simulated first."""


UNKNOWN = "0" * 64
"""What stands for the hash of rows that no file holds."""


class UserColumns(Strict):
    """Which columns of a user's file are what."""

    target: str | list[str] | None = None
    """Columns that are predicted; None for those called as the model's first output, or where the inputs are the target."""
    group: str | None = None
    """Column that names the simulation or object of each row."""
    weights: str | None = None
    """Column of event weights, by which rows count."""
    columns: dict[str, list[str]] = {}
    """Columns of each input that is called otherwise."""
    units: dict[str, str] = {}
    """Units of columns of which the file says none."""


class UserRows(UserColumns):
    """What ``data.parameters`` of a fine-tuned model says, so that the same rows can be cut from the same file again."""

    sha256: Sha256
    """Hash of the file, or of all rows where they came from no single file."""
    file: str | None = None
    """Path of the file as the user wrote it; None for arrays, for a folder and for a data set of the user's."""
    outputs: int | None = None
    """Size of a new head, whose classes are counted anew."""
    seed: int = 0
    """Seed of the split."""

    def cut(self, columns: Columns, model: EndpointModel, spec: ModelSpec) -> UserData:
        """Columns as a data set, split as always with this seed."""
        from zoo.training.user_data import UserData

        return UserData(
            columns,
            model,  # type: ignore[arg-type]
            spec,
            target=self.target,
            group=self.group,
            weights=self.weights,
            matched=self.columns,
            units=self.units,
            outputs=self.outputs,
            seed=self.seed,
        )


def own_rows(
    model: EndpointModel, *splits: Split, data: Any = None, weights: str | None = None, simulate: bool = True
) -> list[Rows]:
    """Rows of some splits of the data that a model was made with, or of data that are given in their place.

    Parameters
    ----------
    model : EndpointModel
        A loaded model.
    *splits : str
        The splits that are wanted: "train", "validation" or "test".
    data : path, mapping or Dataset, optional
        A user's file, arrays by column name, or a data set. Columns are read as those that the model was fine-tuned on.
    weights : str, optional
        The column of event weights of data that are given, by default that of the rows that the model was fine-tuned on.
    simulate : bool
        Whether simulations that are missing are run, which may take hours.

    Returns
    -------
    list of Rows
        One entry for each split.

    Raises
    ------
    InputError
        The model's own rows cannot be made again; the message says how to give them.
    MissingSimulationsError
        They can be made again, but only by running simulations, which was not to be done.
    """
    spec = model.spec
    recorded = _recorded(spec)
    if weights is not None:
        if data is None or callable(getattr(data, "rows", None)):
            raise InputError(f"weights {weights!r}: expected with columns of data only, {option('data', 'FILE')}")
        recorded = (recorded or UserRows(sha256=UNKNOWN)).model_copy(update={"weights": weights})
    if callable(getattr(data, "rows", None)):
        return [data.rows(split) for split in splits]
    if data is not None:
        return [_columns(model, data, recorded).rows(split) for split in splits]
    if recorded is not None:
        found = _columns(model, _unchanged(spec, recorded), recorded)
        return [found.rows(split) for split in splits]
    dataset = _made_again(spec, simulate)
    try:
        made = [dataset.rows(split) for split in splits]
    except InputError as error:
        if simulate:
            raise
        raise MissingSimulationsError(f"no {' or '.join(splits)} rows of {spec.data.source} are here: {error}") from error
    _expect_as_many(spec, splits, made)
    return made


def source_of_rows(spec: ModelSpec) -> str:
    """Say which rows :func:`own_rows` gives of the test split, where no data are given."""
    parameters = ", ".join(f"{name} {value}" for name, value in spec.data.parameters.items() if name != "sha256")
    return f"the test split of {spec.data.source}{f' ({parameters})' if parameters else ''}, as {spec.name} records it"


def quantities_of(model: EndpointModel) -> list[str] | None:
    """The physical quantities that the latents of a model were judged by when it was released; None where none are recorded."""
    if model.folder is None:
        return None
    measured = json.loads(model.folder.read(METRICS).getvalue())
    found: list[str] | None = measured.get("recipe", {}).get("evaluation", {}).get("quantities")
    return found


def _recorded(spec: ModelSpec) -> UserRows | None:
    """What the spec says of a user's rows; None for rows that a data set of the zoo or of a plugin makes."""
    simulated = spec.lineage is None and spec.data.source in DATASETS.names()  # as train_npe has them, with a hash too
    if "sha256" in spec.data.parameters and not simulated:
        try:
            return UserRows.model_validate(spec.data.parameters)
        except ValidationError as error:
            raise IntegrityError(f"{spec.name}: data.parameters of its spec cannot be read: {error}") from error
    if spec.lineage is not None and spec.lineage.data_sha256 is not None:  # fine-tuned before columns were recorded
        return UserRows(sha256=spec.lineage.data_sha256)
    return None


def _unchanged(spec: ModelSpec, recorded: UserRows) -> Path:
    """The file that the model was fine-tuned on, where it is here and still the same."""
    path = None if recorded.file is None else user_path(recorded.file)
    if path is None:
        raise _ask(spec, f"it was fine-tuned on rows of {spec.data.source}, of which it knows no file")
    if not path.is_file():
        raise _ask(spec, f"it was fine-tuned on {path}, which is not here")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != recorded.sha256:
        raise _ask(spec, f"it was fine-tuned on a {path} of sha256 {recorded.sha256[:12]}..., the one here has {found[:12]}...")
    return path


def _columns(model: EndpointModel, data: Any, recorded: UserRows | None) -> Dataset:
    from zoo.model.handed_in.files import read_columns

    return (recorded or UserRows(sha256=UNKNOWN)).cut(read_columns(data), model, model.spec)


def _made_again(spec: ModelSpec, simulate: bool) -> Dataset:
    source, parameters = spec.data.source, dict[str, Any](spec.data.parameters)
    try:
        takes = inspect.signature(DATASETS.get(source)).parameters
    except UnknownNameError as error:
        raise _ask(spec, f"its data came from {source!r}, which is no data set of this installation") from error
    if "folder" in takes:
        raise _ask(spec, f"its data lie beside the recipe that it was trained from (data set {source})")
    if "on_missing" in takes and not simulate:
        parameters["on_missing"] = "fail"
    try:
        return get_dataset(source, **parameters)
    except TypeError as error:
        raise _ask(spec, f"data set {source} does not take the parameters that are recorded: {error}") from error


def _expect_as_many(spec: ModelSpec, splits: tuple[Split, ...], found: list[Rows]) -> None:
    """Refuse rows that are not as many as the model was made with: then they are others."""
    for split, rows in zip(splits, found, strict=True):
        if (wanted := spec.data.rows.get(split, len(rows))) != len(rows):
            raise _ask(spec, f"it was made with {wanted} {split} rows, and data set {spec.data.source} gives {len(rows)}")


def _ask(spec: ModelSpec, why: str) -> InputError:
    return InputError(f"{spec.name}: its own rows cannot be made again: {why}. Give rows with {option('data', 'FILE')}")
