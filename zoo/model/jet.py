"""Which jets a model was trained on, where an input holds their particles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from zoo.model.axes import Axis, Strict

MOMENTUM = {"pt": "GeV", "y": "1", "phi": "rad"}
"""Label and unit of the first numbers of a particle: transverse momentum, rapidity and azimuth, in this order."""

OTHERWISE = (
    "jets of pseudorapidity, of components or of other names are read by zoo.data.jets.from_root, from_awkward and from_columns"
)
"""What to do with particles that are written in other numbers."""

WIDEST = 3.0
"""Largest radius of a jet, of half the detector."""


class Jet(Strict):
    """The jets whose particles a tensor (batch, particle, number) holds; `zoo.model.jet_check` refuses others."""

    radius: Annotated[float, Field(gt=0, le=WIDEST)]
    """Radius parameter of the anti-kt algorithm with which they were clustered."""
    pt: tuple[float, float]
    """Least and largest transverse momentum in GeV of the sum of a jet's particles."""

    @model_validator(mode="after")
    def _is_a_window(self) -> Jet:
        if not 0 <= self.pt[0] < self.pt[1] < float("inf"):
            raise ValueError(f"pt: expected two transverse momenta in GeV, the least first, given {list(self.pt)}")
        return self

    @property
    def words(self) -> str:
        """The jets in words."""
        least, most = self.pt
        return f"anti-kt jets of radius {self.radius:g} whose particles have {least:g} to {most:g} GeV of transverse momentum"

    def expect_particles(self, tensor: str, dtype: str, axes: Sequence[Axis], mask: str | None) -> None:
        """ValueError unless a tensor holds particles.

        Parameters
        ----------
        tensor : str
            Its name.
        dtype : str
            Its dtype.
        axes : sequence of Axis
            Its axes after the batch. Labels and units are looked at where there are some, since recipes leave them to the data.
        mask : str or None
            Name of its mask.
        """
        numbers = axes[-1] if len(axes) == 2 else None
        if dtype != "float32" or mask is None or numbers is None or (numbers.size or 0) < len(MOMENTUM):
            raise ValueError(f"tensor {tensor}: expected float32 particles (particle, number) with a mask, as those of a jet")
        for given, expected in ((numbers.labels, MOMENTUM), (numbers.units, MOMENTUM.values())):
            if given is not None and given[: len(MOMENTUM)] != list(expected):
                raise ValueError(f"tensor {tensor}: expected {', '.join(expected)} of particles, given {', '.join(given)}")
