"""An observation of which a conditional flow is asked, and what is known of it from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.errors import InputError
from zoo.model.spec import ModelSpec
from zoo.model.test_tensors import read_npz

Constraint = tuple[float, float, float]
"""Value, and the limits of its 68% interval."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One observation.

    Attributes
    ----------
    data : (C,)
    label : for the names of files
    description : for people
    names : of the parameters, in the order of the flow's variables
    units : of the parameters that have one
    published : parameter -> constraint
    source : of ``published``
    notes : what a posterior of these data leaves out
    """

    data: np.ndarray
    label: str
    description: str
    names: Sequence[str]
    units: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Constraint] = field(default_factory=dict)
    source: str = ""
    notes: Sequence[str] = ()


def planck_observation(spec: ModelSpec, folder: Path) -> Observation:
    """Planck's binned spectra in ``folder`` with Planck's own constraints.

    Raises
    ------
    InputError
        If the flow is not one of LambdaCDM's parameters given joint spectra, or a file is not what it should be.
    FileNotFoundError
        If a channel has no file.
    """
    from zoo.data.cmb.binning import N_JOINT
    from zoo.data.cmb.emulation import PARAMETERS, UNITS
    from zoo.data.cmb.planck import read_planck

    name, dimensions, shape = _asked(spec)
    if (dimensions, shape) != (len(PARAMETERS), (N_JOINT,)):
        raise InputError(
            f"{spec.name} gives {dimensions} parameters from {name} {shape};"
            f" Planck's spectra need {len(PARAMETERS)} parameters from ({N_JOINT},)"
        )
    return Observation(
        data=read_planck(folder).d_ell,
        label="planck",
        description="Planck's binned spectra",
        names=PARAMETERS,
        units=UNITS,
        published=PLANCK,
        source="Planck 2018 TT,TE,EE+lowE",
        notes=NOT_KNOWN,
    )


def read_observation(spec: ModelSpec, file: Path) -> Observation:
    """An observation in a file: ``.npy`` of shape (C,) or (1, C), or ``.npz`` that holds it under its tensor's name.

    Raises
    ------
    InputError, IntegrityError
        If the file holds something else, or the model is no conditional flow.
    """
    name, dimensions, shape = _asked(spec)
    if file.suffix == ".npz":
        stored = read_npz(file)
        if name not in stored:
            raise InputError(f"{file}: expected an array {name!r}, found {', '.join(stored) or 'none'}")
        data = stored[name]
    else:
        try:
            data = np.load(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{file} is not a .npy of plain numbers: {error}") from error
    if data.dtype.kind not in "fiu" or data.shape not in {shape, (1, *shape)}:
        raise InputError(f"{file}: expected one {name} of shape {shape}, given {data.dtype} of shape {data.shape}")
    units = _units(spec, dimensions)
    return Observation(data=data.reshape(shape), label=file.stem, description=str(file), names=list(units), units=units)


def _units(spec: ModelSpec, dimensions: int) -> dict[str, str]:
    """Parameter -> unit as the data set's class says, or parameters as the flow's output describes them, or numbered ones."""
    from zoo.data.dataset import DATASETS

    known = spec.data.source in DATASETS.names()
    units = getattr(DATASETS.get(spec.data.source), "units", None) if known else None
    if isinstance(units, dict) and len(units) == dimensions:
        return units
    names = spec.endpoints["sample"].outputs[0].description.split(", ")
    return dict.fromkeys(names if len(set(names)) == dimensions else [f"theta {i}" for i in range(dimensions)], "1")


def _asked(spec: ModelSpec) -> tuple[str, int, tuple[int, ...]]:
    """Name of the observed tensor, number of parameters, and shape of the observation."""
    inputs = spec.endpoints["sample"].inputs if "sample" in spec.endpoints else []
    if len(inputs) != 2:
        raise InputError(f"{spec.name} is no conditional flow: expected an endpoint 'sample' of noise and observation")
    noise, observed = inputs
    return observed.name, noise.shape[0], tuple(observed.shape)


PLANCK: dict[str, Constraint] = {
    "H0": (67.27, 66.67, 67.87),
    "ombh2": (0.02236, 0.02221, 0.02251),
    "omch2": (0.1202, 0.1188, 0.1216),
    "tau": (0.0544, 0.0463, 0.0614),
    "ns": (0.9649, 0.9605, 0.9693),
    "ln10As": (3.045, 3.029, 3.061),
}
"""Planck 2018 TT,TE,EE+lowE (arXiv:1807.06209, table 2)."""

NOT_KNOWN = (
    "correlations between neighbouring bins (from the mask, lensing and foregrounds), which Planck's covariance has",
    "foregrounds, calibration and beams: subtracted from the public spectra at their best fit, without their uncertainty",
    "tau: the bins begin at l = 30, where tau and As are degenerate; a prior of 0.0544 +- 0.0073 stands in for lowE",
    "non-linear lensing: simulations lens linearly, which changes TT by 0.2% at l = 2000",
    "noise that varies with the cosmology: every sky has the covariance of the best fit",
)
"""What a posterior of Planck's spectra leaves out."""
