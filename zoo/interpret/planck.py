"""What a classifier of binned spectra says of Planck's own, and why."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from pydantic import BaseModel, ConfigDict

from zoo.data.cmb.binning import CHANNELS, N_JOINT, SLICES
from zoo.data.cmb.planck import read_planck
from zoo.errors import InputError
from zoo.families.base import ZooModel
from zoo.interpret.attribution.explain import explain
from zoo.model.inputs import InputCheck


class ChannelFit(BaseModel):
    """Agreement of one channel with Planck's best fit, errors taken as independent."""

    model_config = ConfigDict(frozen=True)

    chi2: float
    bins: int


class PlanckReport(BaseModel):
    """A classifier's answer on Planck's spectra."""

    model_config = ConfigDict(frozen=True)

    model: str
    probability: float
    """Of a primordial feature, the two classes taken as equally likely before."""
    null_fraction: float
    """Fraction of simulated LambdaCDM skies of the test split with at least this probability."""
    null_skies: int
    best_fit: dict[str, ChannelFit]
    figure: Path

    def text(self) -> str:
        """The report as a person reads it."""
        fits = ", ".join(f"{channel} {fit.chi2:.1f} / {fit.bins}" for channel, fit in self.best_fit.items())
        return (
            f"{self.model} on Planck's binned spectra\n"
            f"  probability of a primordial feature  {self.probability:.3f}\n"
            f"  LambdaCDM skies at least as feature-like  {self.null_fraction:.1%} of {self.null_skies} simulated\n"
            f"  chi2 / bins against Planck's best fit  {fits}\n"
            f"  data, residuals and what drives the answer: {self.figure}"
        )


def planck_report(model: ZooModel, folder: Path, out: Path) -> PlanckReport:
    """Classify Planck's spectra, set the answer beside simulated skies, and draw what drives it.

    Parameters
    ----------
    model : a classifier of joint TT, TE, EE spectra: input ``spectrum`` (215,) in muK^2
    folder : of Planck's binned files
    out : folder for the figure

    Raises
    ------
    InputError
        If the model takes another input, or a bin lies outside its trained range.
    """
    from zoo.data.cmb.feature import CMBFeature
    from zoo.interpret import plots

    endpoint = model.spec.endpoint("predict")
    if [(t.name, t.shape) for t in endpoint.inputs] != [("spectrum", [N_JOINT])]:
        given = ", ".join(f"{t.name} {tuple(t.shape)}" for t in endpoint.inputs)
        raise InputError(f"{model.spec.name} takes {given}; Planck's spectra need a model of spectrum ({N_JOINT},)")
    planck = read_planck(folder)
    spectrum = InputCheck(endpoint)({"spectrum": planck.d_ell[None]})["spectrum"]
    probability = _probability(model, spectrum)[0]
    test = CMBFeature(noise=True).rows("test")
    null = _probability(model, test.inputs["spectrum"][test.target[:, 0] == 0])
    explanation = explain(model, spectrum)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{model.spec.name}-planck.png"
    figure = plots.planck_spectrum_plot(planck.d_ell, planck.error, planck.best_fit, explanation, float(probability))
    figure.savefig(path, dpi=120)
    pulls = (planck.d_ell - planck.best_fit) / planck.error
    return PlanckReport(
        model=model.spec.name,
        probability=float(probability),
        null_fraction=float(np.mean(null >= probability)),
        null_skies=len(null),
        best_fit={
            channel: ChannelFit(chi2=float(np.sum(pulls[SLICES[channel]] ** 2)), bins=pulls[SLICES[channel]].size)
            for channel in CHANNELS
        },
        figure=path,
    )


def _probability(model: ZooModel, spectra: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(spectra))[:, 0]
