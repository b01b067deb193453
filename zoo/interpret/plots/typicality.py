"""Whether an out-of-distribution test flags as often as it says."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

from matplotlib.figure import Figure

from zoo.interpret.plots.style import COLORS, GRAY, one_panel, styled
from zoo.interpret.posteriors.typicality import TypicalityCalibration


@styled
def typicality_curve(calibration: TypicalityCalibration | Mapping[str, TypicalityCalibration]) -> Figure:
    """Fraction of in-distribution rows that are flagged against the nominal level; one curve or several by label."""
    curves = {"held-out rows": calibration} if isinstance(calibration, TypicalityCalibration) else calibration
    figure, ax = one_panel((5.4, 5.2))
    lowest = min(found.levels[0] for found in curves.values())
    ax.plot([lowest, 1], [lowest, 1], color=GRAY, linestyle="--", linewidth=1, label="calibrated")
    for (label, found), color in zip(curves.items(), cycle(COLORS), strict=False):
        ax.fill_between(found.levels, found.low, found.high, color=color, alpha=0.2, linewidth=0)
        ax.plot(found.levels, found.flagged, color=color, label=f"{label} (n = {found.n:,})")
    ax.set(xscale="log", yscale="log", xlim=(lowest, 1), ylim=(lowest / 3, 1.1))
    ax.set(xlabel="nominal level", ylabel="fraction flagged (band: 95% interval)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
