"""Numbers of particles under whatever names and in whatever coordinates, as transverse momentum, rapidity and azimuth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo.data.jets.checked import Particles, particles_of
from zoo.data.jets.identities import masses_of
from zoo.errors import InputError, option
from zoo.model.handed_in.units import converter, same_unit
from zoo.model.handed_in.values import Values

NAMES = {
    "pt": ("pt", "pT"),
    "y": ("y", "rap", "rapidity"),
    "eta": ("eta", "pseudorapidity"),
    "phi": ("phi",),
    "mass": ("mass", "m", "M"),
    "energy": ("energy", "E", "e"),
    "px": ("px",),
    "py": ("py",),
    "pz": ("pz",),
    "identity": ("identity", "pdgId", "pdg_id", "pdgid", "pid"),
    "real": ("real",),
}
"""Names under which each number of a particle is looked for."""
COORDINATES = {"rho": "pt", "tau": "mass", "x": "px", "y": "py", "z": "pz", "t": "energy"}
"""What the coordinates of vectors are, which are called so whatever they were made with."""
UNITS = dict.fromkeys(("pt", "mass", "energy", "px", "py", "pz"), "GeV") | {"phi": "rad"}
"""Unit of each number that has one."""


def named(columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Under which column each number of a particle stands."""
    if unknown := [name for name in names if name not in NAMES]:
        raise InputError(f"names: expected some of {', '.join(NAMES)}, given {unknown[0]}")
    found = {}
    for name, usual in NAMES.items():
        there = [names[name]] if name in names else [column for column in usual if column in columns]
        if len(there) > 1:
            raise InputError(
                f"{' and '.join(there)} may both be the {name}: say which with {option('names', str({name: there[0]}))}"
            )
        if there and there[0] not in columns:
            raise InputError(f"names: there is no column {there[0]!r}; there are {', '.join(columns)}")
        if there:
            found[name] = there[0]
    return found


def flat(found: Mapping[str, Values], unit: str | None) -> Particles:
    """Particles one after another in the units of `UNITS`, without those that are masked."""
    flat: dict[str, np.ndarray] = {}
    counts = np.zeros(0, int)
    for name, values in found.items():
        if not values.jagged and (np.ndim(values.array) == 0 or (len(values.array) and np.ndim(values.array) != 2)):
            raise InputError(f"{name}: expected a row of particles for each jet, given {np.shape(values.array)}")
        own = np.array([len(row) for row in values.array], int)
        first = next(iter(found))
        counts = own if name == first else counts
        if len(own) != len(counts):
            raise InputError(f"{name}: expected {len(counts)} jets as {first} has, given {len(own)}")
        if (other := own != counts).any():
            jet = int(other.argmax())
            raise InputError(f"{name}: expected {counts[jet]} particles in jet {jet} as {first} has, given {own[jet]}")
        numbers = np.concatenate([np.zeros(0), *values.array])
        if numbers.dtype.kind != "f":
            raise InputError(f"{name}: expected numbers, given {numbers.dtype}")
        convert = _converter(name, values.unit, unit)
        flat[name] = numbers if convert is None else convert(numbers)
        if values.missing is not None:
            flat[name][values.missing.ravel()] = np.nan  # refused where it is no padding
    real = flat.pop("real", np.ones(counts.sum())) == 1
    momentum = next((values for name, values in found.items() if name in ("pt", "px")), None)
    if momentum is not None and momentum.missing is not None:
        real &= ~momentum.missing.ravel()
    return particles_of(counts, flat).kept(real)


def _converter(name: str, said: Any, unit: str | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """What converts a column, whose own unit may be known, to its unit of `UNITS`."""
    if name not in UNITS:
        return None
    if UNITS[name] == "GeV" and unit is not None:
        if said is not None and not same_unit(said, unit):
            raise InputError(f"{name}: its unit is {said}, but {option('unit', repr(unit))} says another")
        said = unit
    return converter(said, [UNITS[name]], name)


def transverse(particles: Particles, given: list[str]) -> dict[str, np.ndarray]:
    """Transverse momentum and azimuth, (m,) each."""
    numbers = particles.numbers
    if {"pt", "phi"} <= numbers.keys():
        return {"pt": numbers["pt"], "phi": numbers["phi"]}
    if {"px", "py"} <= numbers.keys():
        return {"pt": np.hypot(numbers["px"], numbers["py"]), "phi": np.arctan2(numbers["py"], numbers["px"])}
    raise InputError(f"expected pt and phi, or px and py, among {', '.join(given)}: {where_they_are()}")


def rapidity(particles: Particles, pt: np.ndarray, massless: bool, given: list[str]) -> np.ndarray:
    """Rapidity of each particle, (m,), from what is known of its momentum and its mass."""
    numbers = particles.numbers
    if "y" in numbers:
        return numbers["y"]
    if "eta" not in numbers and "pz" not in numbers:
        raise InputError(f"expected y, eta or pz among {', '.join(given)}: {where_they_are()}")
    padding = pt.astype(np.float32) == 0
    with np.errstate(all="ignore"):  # what is not finite is refused with its place
        pz = pt * np.sinh(numbers["eta"]) if "eta" in numbers else numbers["pz"]
        if "mass" in numbers:
            squared = numbers["mass"] ** 2
            particles.refuse(numbers["mass"] < -1e-3, "expected a mass of 0 or more")
        elif "energy" in numbers:
            squared = np.maximum(numbers["energy"] ** 2 - pt**2 - pz**2, 0)
            short = numbers["energy"] < np.hypot(pt, pz) * (1 - 1e-4)
            particles.refuse(short & ~padding, "expected an energy above the momentum")
        elif "identity" in numbers:
            squared = masses_of(numbers["identity"]) ** 2
        elif massless:
            squared = np.zeros_like(pt)
        else:
            raise InputError(
                "expected y, or mass, energy or identity beside eta or pz: rapidity is not pseudorapidity; for particles"
                f" without mass pass {option('massless')}"
            )
        return np.where(padding, 0, np.arcsinh(pz / np.sqrt(np.where(padding, 1, pt**2 + squared))))


def where_they_are() -> str:
    """What to do where columns have other names."""
    return f"say which are which with {option('names', repr({'pt': 'their_pt'}))}"
