"""Look inside any loaded model: attribution, latents, information, calibration, plots; and use a flow: posteriors,
typicality, flow-assisted MCMC.

Names are imported when they are first used: ``import zoo.interpret`` loads neither Keras nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy import importer

if TYPE_CHECKING:
    from zoo.interpret.attribution import explain as explain
    from zoo.interpret.calibration import expected_calibration_error as expected_calibration_error
    from zoo.interpret.calibration import reliability as reliability
    from zoo.interpret.explanation import Explanation as Explanation
    from zoo.interpret.information import mutual_information as mutual_information
    from zoo.interpret.information import mutual_information_matrix as mutual_information_matrix
    from zoo.interpret.latents import active_latents as active_latents
    from zoo.interpret.latents import kl_per_latent as kl_per_latent
    from zoo.interpret.latents import linear_r2 as linear_r2
    from zoo.interpret.latents import traverse as traverse
    from zoo.interpret.mcmc import Chains as Chains
    from zoo.interpret.mcmc import flow_mcmc as flow_mcmc
    from zoo.interpret.posterior import Coverage as Coverage
    from zoo.interpret.posterior import PredictiveCheck as PredictiveCheck
    from zoo.interpret.posterior import RankUniformity as RankUniformity
    from zoo.interpret.posterior import posterior_predictive as posterior_predictive
    from zoo.interpret.posterior import rank_uniformity as rank_uniformity
    from zoo.interpret.posterior import sbc_ranks as sbc_ranks
    from zoo.interpret.posterior import tarp as tarp
    from zoo.interpret.typicality import Typicality as Typicality
    from zoo.interpret.typicality import TypicalityCalibration as TypicalityCalibration
    from zoo.interpret.typicality import typicality_calibration as typicality_calibration
    from zoo.interpret.typicality import typicality_test as typicality_test

_HOMES = {
    "Chains": "mcmc",
    "Coverage": "posterior",
    "Explanation": "explanation",
    "PredictiveCheck": "posterior",
    "RankUniformity": "posterior",
    "Typicality": "typicality",
    "TypicalityCalibration": "typicality",
    "active_latents": "latents",
    "expected_calibration_error": "calibration",
    "explain": "attribution",
    "flow_mcmc": "mcmc",
    "kl_per_latent": "latents",
    "linear_r2": "latents",
    "mutual_information": "information",
    "mutual_information_matrix": "information",
    "posterior_predictive": "posterior",
    "rank_uniformity": "posterior",
    "reliability": "calibration",
    "sbc_ranks": "posterior",
    "tarp": "posterior",
    "traverse": "latents",
    "typicality_calibration": "typicality",
    "typicality_test": "typicality",
}

__all__ = sorted(_HOMES)
__getattr__ = importer(__name__, {name: f"{__name__}.{module}" for name, module in _HOMES.items()})


def __dir__() -> list[str]:
    return __all__
