"""Formulae that were found, as a model folder like any other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError, MissingExtraError
from zoo.families.expression import TOKENS, VARIABLES
from zoo.families.state import apart
from zoo.model.axes import Axis
from zoo.model.license import UNKNOWN
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor, Tolerance
from zoo.workflows.folder import write_model_folder
from zoo.workflows.new_folder import new_folder

if TYPE_CHECKING:
    from zoo.families.base import ZooModel
    from zoo.interpret.formulae.symbolic import SymbolicFormula

TEST_ROWS = 16
EXACT = 1e-3
"""Largest error of float32, in deviations of the values."""


@apart()
def save_formulae(
    formulae: Mapping[str, SymbolicFormula],
    quantities: Mapping[str, np.ndarray],
    *,
    folder: str | Path,
    unit: str = "1",
    units: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> ZooModel:
    """Write formulae as a model that loads, exports and serves like a network, of up to four quantities together.

    Parameters
    ----------
    formulae : mapping of str to SymbolicFormula
        Formulae by the name of what they give, as ``zoo.interpret.distill(..., search="symbolic")`` finds them.
    quantities : mapping of str to ndarray
        The quantities (n,) that they were found on, by name, whose extremes are the model's range.
    folder : str or Path
        The folder to be made. Its name is the model's.
    unit : str
        Unit of the values.
    units : mapping of str to str, optional
        Unit of each quantity by its name; "1" of those that are left out.
    overwrite : bool
        Whether an earlier model in ``folder`` is replaced.

    Returns
    -------
    ZooModel
        The model, as ``zoo.load(folder)`` gives it: the input ``quantities`` (n, q), the output ``values`` (n, formulae).

    Raises
    ------
    InputError
        There is no formula, or more than four quantities, one is missing, has a unit and stands in no formula, or float32
        does not hold the formula to a thousandth of the deviation of its values.
    ZooError
        A released model has the folder's name.
    ExportError, ParityError
        The folder exists, or a graph does not answer as the formulae do.

    Examples
    --------
    >>> found = zoo.interpret.distill(latent, known, search="symbolic")  # doctest: +SKIP
    >>> model = zoo.save_formulae({"latent 0": found}, known, folder="my-formula")  # doctest: +SKIP
    """
    from zoo.families.formula import FormulaModel
    from zoo.interpret.formulae.formula import columns
    from zoo.loading import load
    from zoo.training.metrics import metric, of_error
    from zoo.training.user_data import UserData

    path, name = new_folder(folder, overwrite)
    names = tuple(dict.fromkeys(quantity for formula in formulae.values() for quantity in formula.names))
    if not 1 <= len(names) <= VARIABLES:
        raise InputError(f"formulae: expected 1 to {VARIABLES} quantities in all of them, given {', '.join(names) or 'none'}")
    units = dict(units or {})
    if unknown := units.keys() - set(names):
        raise InputError(f"units: expected units of {', '.join(names)}, given one of {', '.join(sorted(unknown))}")
    table = columns(quantities, names)
    expressions = [
        formula.expression.renumbered({1 + own: 1 + names.index(one) for own, one in enumerate(formula.names)})
        for formula in formulae.values()
    ]
    words = [" ".join(TOKENS[token] for token in expression.tokens) for expression in expressions]
    model: Any = FormulaModel(inputs=len(names), formulae=words)
    model.constants.values.assign(np.concatenate([expression.constants for expression in expressions]))
    values = np.column_stack([expression(table) for expression in expressions])
    _expect_exact(model, table, values, tuple(formulae))
    endpoint = _described(formulae, names, table, unit, [units.get(one, "1") for one in names])
    spec = ModelSpec(
        name=name,
        family="formula",
        config=model.config,
        task="regression",
        summary=endpoint.description,
        endpoints={"predict": endpoint},
        data=Data(
            source="quantities",
            description=f"{len(table)} rows of {', '.join(names)}",
            simulator=UserData.simulator,
            seed=0,
            rows={"train": len(table)},
            license=UNKNOWN,
        ),
        metrics=[
            metric(
                f"R2 of {answer}",
                [formula.r2],
                of_error(formula.r2, formula.r2_error, "1.96 standard errors"),
                formula.rows,
                "rows that neither fitted constants nor chose the formula",
            )
            for answer, formula in formulae.items()
        ],
        files=[],
        tolerance=Tolerance(absolute=EXACT * float(values.std(axis=0).min()), relative=EXACT),
        physzoo_version=version("physzoo"),
    )
    rows = table[np.linspace(0, len(table) - 1, TEST_ROWS).round().astype(int)].astype(np.float32)
    write_model_folder(model, spec, path, {"predict": (rows,)}, prose=_prose(name, formulae), overwrite=overwrite)
    written: ZooModel = load(path)
    return written


def _described(
    formulae: Mapping[str, SymbolicFormula], names: tuple[str, ...], table: np.ndarray, unit: str, units: list[str]
) -> Endpoint:
    """The endpoint of formulae of quantities (n, q) with these units, whose extremes are its range."""
    axis = Axis(name="quantity", size=len(names), labels=list(names), units=units)
    return Endpoint(
        description="; ".join(f"{answer} = {formula.text}" for answer, formula in formulae.items()),
        inputs=[
            Tensor(
                name="quantities",
                axes=[axis],
                unit=", ".join(dict.fromkeys(units)),
                low=[float(np.float32(low)) for low in table.min(axis=0)],
                high=[float(np.float32(high)) for high in table.max(axis=0)],
                description="quantities that the formulae hold",
            )
        ],
        outputs=[
            Tensor(
                name="values",
                axes=[Axis(name="formula", size=len(formulae), labels=list(formulae))],
                unit=unit,
                description="value of each formula",
            )
        ],
    )


def _expect_exact(model: Any, table: np.ndarray, values: np.ndarray, answers: tuple[str, ...]) -> None:
    """Refuse formulae whose terms cancel beyond float32."""
    import keras

    given = keras.ops.convert_to_numpy(model(table.astype(np.float32))).astype(np.float64)
    with np.errstate(all="ignore"):
        off = np.abs(given - values).max(axis=0) / values.std(axis=0)
    for answer, error in zip(answers, off, strict=True):
        if not error <= EXACT:
            raise InputError(
                f"{answer}: float32, in which models answer, is off by {error:.2g} deviations of its values: measure its"
                " quantities from an origin near their mean, and find the formula anew"
            )


def _prose(name: str, formulae: Mapping[str, SymbolicFormula]) -> str:
    """Each formula with its constants and their errors."""
    parts = [f"# {name}\n\n## Formulae\n"]
    for answer, formula in formulae.items():
        numbers = ", ".join(f"{c:.6g} +- {e:.2g}" for c, e in zip(formula.constants, formula.errors, strict=True)) or "none"
        try:
            law = f"$$ {formula.latex()} $$"
        except MissingExtraError:  # SymPy writes it, without which the text is there all the same
            law = f"`{formula.text}`"
        parts.append(f"{answer}:\n\n{law}\n\nConstants, as they stand in `{formula.text}`: {numbers}.\n")
    return "\n".join(parts)
