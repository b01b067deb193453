"""Jets of one's own, from whatever holds them, as the tensors that networks take.

All answers are a dict of ``particles`` (n, particle, 3) float32, the transverse momentum [GeV], rapidity and azimuth [rad] of
each particle, the hardest first; ``identity`` (n, particle) int32, their PDG codes, where they are known; and ``real``
(n, particle) bool, True for particles and False for padding, which is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from zoo.data.jets.checked import HEAVIEST, Cloud, Particles, as_cloud, particles_of
from zoo.data.jets.coordinates import COORDINATES, UNITS, flat, named, rapidity, transverse, where_they_are
from zoo.errors import InputError, option
from zoo.model.handed_in.columns import Column
from zoo.model.handed_in.files import root_trees
from zoo.model.handed_in.units import converter
from zoo.model.handed_in.values import Values, values_of
from zoo.model.test_tensors import read_npz
from zoo.paths import user_path


def from_columns(
    columns: Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    unit: str | None = None,
    massless: bool = False,
    duplicates: bool = False,
) -> Cloud:
    """Jets from an array for each number of their particles.

    Parameters
    ----------
    columns : mapping of str to array_like
        Arrays with a row of particles for each jet, of any lengths, by name: ``pt``, ``phi`` and ``y``; or ``eta`` in place of
        ``y`` with ``mass``, ``energy`` or ``identity``; or ``px``, ``py``, ``pz`` with one of these three. ``identity`` is the
        PDG code with its sign. Padding is what is masked, what ``real`` says is none, and what has no transverse momentum.
    names : mapping of str to str, optional
        Under which name each of these stands, where it is another: such as ``{"pt": "part_pt"}``.
    unit : str, optional
        Unit of momenta, masses and energies, which are converted to GeV; by default what the arrays say, or GeV.
    massless : bool
        Whether particles are taken as massless of which neither rapidity nor mass is known.
    duplicates : bool
        Whether a jet may hold the same particle twice.

    Returns
    -------
    dict of str to ndarray
        The tensors that this module describes.

    Raises
    ------
    InputError
        A column is missing or has another shape than the others; or, naming jet and particle, for what is not finite,
        impossible or implausible, identities that are unknown, the same particle twice; or identities have lost their sign.

    Examples
    --------
    >>> from_columns({"pt": [[60.0, 40.0]], "y": [[0.1, 0.2]], "phi": [[1.0, 1.1]]})["particles"].shape
    (1, 2, 3)
    """
    if not hasattr(columns, "keys"):
        raise InputError(f"expected columns by name, such as pt, y and phi, given {type(columns).__name__}")
    theirs = named(columns, names or {})
    if not theirs:
        raise InputError(f"expected pt, y, phi and the like, given {', '.join(columns)}: {where_they_are()}")
    found = {name: _values(columns[column]) for name, column in theirs.items()}
    said = {name: found[name].unit is not None for name in found if UNITS.get(name) == "GeV"}
    if unit is None and any(said.values()) and not all(said.values()):
        raise InputError(f"{min(said, key=said.__getitem__)}: expected its unit, as {max(said, key=said.__getitem__)} has one")
    unit_known = unit is not None or any(said.values())
    particles = flat(found, unit)
    if "mass" in found and not unit_known:
        particles.refuse(particles.numbers["mass"] > HEAVIEST, f"expected a mass in GeV, below {HEAVIEST:g}")
    numbers = particles.numbers | transverse(particles, list(columns))
    numbers["y"] = rapidity(particles, numbers["pt"], massless, list(columns))
    ordered: dict[str, np.ndarray] = {name: numbers[name] for name in ("pt", "y", "phi", "identity") if name in numbers}
    whole = Particles(particles.jets, particles.jet, particles.place, ordered)
    return as_cloud(whole, unit_known=unit_known, duplicates=duplicates)


def from_awkward(
    jets: Any,
    *,
    names: Mapping[str, str] | None = None,
    unit: str | None = None,
    massless: bool = False,
    duplicates: bool = False,
) -> Cloud:
    """Jets from an array of awkward, of records or of vectors, whose rows are the particles of a jet.

    Parameters
    ----------
    jets : awkward.Array
        Particles (jet, particle) with the fields that `from_columns` takes.
    names, unit, massless, duplicates : object
        As of `from_columns`.

    Returns
    -------
    dict of str to ndarray
        The tensors that this module describes.

    Raises
    ------
    InputError
        The rows are no jets of particles, or as of `from_columns`.
    """
    import awkward

    if not isinstance(jets, awkward.Array) or not jets.fields:
        raise InputError(f"expected an awkward array of particles with fields, such as pt, given {type(jets).__name__}")
    if jets.ndim != 2:
        raise InputError(
            f"expected an array (jet, particle), given {jets.ndim} axes: {jets.type}; "
            + (
                "awkward.flatten(jets, axis=1) takes the jets out of their events"
                if jets.ndim > 2
                else "awkward.zip({'pt': events.pt, ...}) makes particles of fields that are jagged, and from_root reads them"
            )
        )
    vectors = type(jets).__module__.partition(".")[0] == "vector"
    columns = {COORDINATES.get(field, field) if vectors else field: jets[field] for field in jets.fields}
    return from_columns(columns, names=names, unit=unit, massless=massless, duplicates=duplicates)


def from_root(
    path: str | PathLike[str],
    tree: str | None = None,
    *,
    names: Mapping[str, str] | None = None,
    unit: str | None = None,
    massless: bool = False,
    duplicates: bool = False,
) -> Cloud:
    """Jets from a ROOT file, of which each entry is a jet and each branch a number of its particles.

    Parameters
    ----------
    path : path
        The file.
    tree : str, optional
        Name of the tree or RNTuple, where the file has several.
    names, unit, massless, duplicates : object
        As of `from_columns`.

    Returns
    -------
    dict of str to ndarray
        The tensors that this module describes.

    Raises
    ------
    InputError
        It is no ROOT file, has no such tree, its entries are no jets, or as of `from_columns`.
    """
    trees = root_trees(user_path(path))
    chosen = next(iter(trees)) if tree is None and len(trees) == 1 else tree
    if chosen not in trees:
        raise InputError(f"{path}: expected one of its trees, {', '.join(sorted(trees))}, given {option('tree', repr(tree))}")
    return from_columns(trees[chosen], names=names, unit=unit, massless=massless, duplicates=duplicates)


def from_fastjet(
    jets: Iterable[Any], identity: Callable[[Any], int] | None = None, *, unit: str | None = None, duplicates: bool = False
) -> Cloud:
    """Jets that FastJet has clustered, or lists of particles.

    Parameters
    ----------
    jets : iterable of fastjet.PseudoJet
        Jets that know their constituents, or for each jet a sequence of its particles.
    identity : callable, optional
        Gives the PDG code of a particle, such as ``lambda particle: codes[particle.user_index()]``.
    unit : str, optional
        Unit of momenta, which are converted to GeV; GeV by default.
    duplicates : bool
        Whether a jet may hold the same particle twice.

    Returns
    -------
    dict of str to ndarray
        The tensors that this module describes.

    Raises
    ------
    InputError
        A jet does not know its constituents, or as of `from_columns`.
    """
    members = [_constituents(jet, number) for number, jet in enumerate(jets)]
    functions: dict[str, Callable[[Any], float]] = {
        "pt": lambda particle: particle.pt(),
        "y": lambda particle: particle.rap(),
        "phi": lambda particle: particle.phi_std(),
    }
    if identity is not None:
        functions["identity"] = identity
    numbers = {name: np.array([read(one) for jet in members for one in jet], float) for name, read in functions.items()}
    if unit is not None and (convert := converter(unit, ["GeV"], "particles")):
        numbers["pt"] = convert(numbers["pt"])
    counts = np.array([len(jet) for jet in members], int)
    return as_cloud(particles_of(counts, numbers), unit_known=unit is not None, duplicates=duplicates)


def from_energyflow(jets: Any | str | PathLike[str], *, unit: str | None = None, duplicates: bool = False) -> Cloud:
    """Jets in the layout of EnergyFlow's sets: rows of particles, padded with zeros.

    Parameters
    ----------
    jets : array_like or path
        Array (n, particle, 4) of transverse momentum [GeV], rapidity, azimuth [rad] and PDG code, or of the first three only;
        or the ``.npz`` that has it as ``X``.
    unit : str, optional
        Unit of momenta, which are converted to GeV; GeV by default.
    duplicates : bool
        Whether a jet may hold the same particle twice.

    Returns
    -------
    dict of str to ndarray
        The tensors that this module describes.

    Raises
    ------
    InputError
        The array has another shape, or as of `from_columns`.
    """
    if isinstance(jets, str | PathLike):
        arrays = read_npz(user_path(jets))
        if "X" not in arrays:
            raise InputError(f"{jets}: expected the jets as X, given {', '.join(arrays)}")
        jets = arrays["X"]
    values = values_of(jets)
    if values.unit is not None:
        raise InputError(f"expected numbers without a unit, given {values.unit}: an angle has another: use from_columns")
    array = values.array if values.missing is None else np.ma.array(values.array, mask=values.missing)
    if array.ndim != 3 or array.shape[2] not in (3, 4):
        raise InputError(f"expected an array (n, particle, 4) of pt, y, phi and PDG code, given {array.shape}")
    names = ("pt", "y", "phi", "identity")[: array.shape[2]]
    return from_columns({name: array[..., place] for place, name in enumerate(names)}, unit=unit, duplicates=duplicates)


def _constituents(jet: Any, number: int) -> list[Any]:
    """The particles of a jet of FastJet, or of a sequence of them."""
    if not hasattr(jet, "constituents"):
        return list(jet)
    if not jet.has_constituents():
        raise InputError(f"jet {number}: it does not know its constituents: keep its ClusterSequence, or hand in its particles")
    return list(jet.constituents())


def _values(given: Any) -> Values:
    """A column of a file or of a user's."""
    return given.values if isinstance(given, Column) else values_of(given)
