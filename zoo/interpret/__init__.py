"""Look inside any loaded model: attribution, latents, their use and what they mean, disentanglement, information, distillation,
calibration, plots; and use a flow: posteriors, typicality, flow-assisted MCMC.

Names are imported when they are first used: ``import zoo.interpret`` loads neither Keras nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy import importer

if TYPE_CHECKING:
    from zoo.interpret.attribution import explain as explain
    from zoo.interpret.calibration import expected_calibration_error as expected_calibration_error
    from zoo.interpret.calibration import fit_temperature as fit_temperature
    from zoo.interpret.calibration import reliability as reliability
    from zoo.interpret.conformal import ConformalClassifier as ConformalClassifier
    from zoo.interpret.conformal import ConformalRegressor as ConformalRegressor
    from zoo.interpret.conformal import conformal_classifier as conformal_classifier
    from zoo.interpret.conformal import conformal_regressor as conformal_regressor
    from zoo.interpret.disentanglement import beta_vae_score as beta_vae_score
    from zoo.interpret.disentanglement import dci as dci
    from zoo.interpret.disentanglement import disentanglement_scores as disentanglement_scores
    from zoo.interpret.disentanglement import factor_vae_score as factor_vae_score
    from zoo.interpret.disentanglement import mig as mig
    from zoo.interpret.disentanglement import sap as sap
    from zoo.interpret.distillation import Formula as Formula
    from zoo.interpret.distillation import distil as distil
    from zoo.interpret.distillation import distil_latents as distil_latents
    from zoo.interpret.efficiency import Efficiency as Efficiency
    from zoo.interpret.efficiency import efficiency_against as efficiency_against
    from zoo.interpret.explanation import Explanation as Explanation
    from zoo.interpret.information import information_profile as information_profile
    from zoo.interpret.information import mutual_information as mutual_information
    from zoo.interpret.information import mutual_information_matrix as mutual_information_matrix
    from zoo.interpret.information import neighbour_information as neighbour_information
    from zoo.interpret.information import total_correlation as total_correlation
    from zoo.interpret.latent_report import LatentReport as LatentReport
    from zoo.interpret.latent_report import relate_latents as relate_latents
    from zoo.interpret.latent_report import relate_posteriors as relate_posteriors
    from zoo.interpret.latent_use import LatentUse as LatentUse
    from zoo.interpret.latent_use import active_units as active_units
    from zoo.interpret.latent_use import use_of_latents as use_of_latents
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
    from zoo.interpret.propagation import Propagated as Propagated
    from zoo.interpret.propagation import propagate as propagate
    from zoo.interpret.typicality import Typicality as Typicality
    from zoo.interpret.typicality import TypicalityCalibration as TypicalityCalibration
    from zoo.interpret.typicality import typicality_calibration as typicality_calibration
    from zoo.interpret.typicality import typicality_test as typicality_test

_HOMES = {
    "Chains": "mcmc",
    "ConformalClassifier": "conformal",
    "ConformalRegressor": "conformal",
    "Coverage": "posterior",
    "Efficiency": "efficiency",
    "Explanation": "explanation",
    "Formula": "distillation",
    "LatentReport": "latent_report",
    "LatentUse": "latent_use",
    "PredictiveCheck": "posterior",
    "Propagated": "propagation",
    "RankUniformity": "posterior",
    "Typicality": "typicality",
    "TypicalityCalibration": "typicality",
    "active_latents": "latents",
    "active_units": "latent_use",
    "beta_vae_score": "disentanglement",
    "conformal_classifier": "conformal",
    "conformal_regressor": "conformal",
    "dci": "disentanglement",
    "disentanglement_scores": "disentanglement",
    "distil": "distillation",
    "distil_latents": "distillation",
    "efficiency_against": "efficiency",
    "expected_calibration_error": "calibration",
    "explain": "attribution",
    "factor_vae_score": "disentanglement",
    "fit_temperature": "calibration",
    "flow_mcmc": "mcmc",
    "information_profile": "information",
    "kl_per_latent": "latents",
    "linear_r2": "latents",
    "mig": "disentanglement",
    "mutual_information": "information",
    "mutual_information_matrix": "information",
    "neighbour_information": "information",
    "posterior_predictive": "posterior",
    "propagate": "propagation",
    "rank_uniformity": "posterior",
    "relate_latents": "latent_report",
    "relate_posteriors": "latent_report",
    "reliability": "calibration",
    "sap": "disentanglement",
    "sbc_ranks": "posterior",
    "tarp": "posterior",
    "total_correlation": "information",
    "traverse": "latents",
    "typicality_calibration": "typicality",
    "typicality_test": "typicality",
    "use_of_latents": "latent_use",
}

__all__ = sorted(_HOMES)
__getattr__ = importer(__name__, {name: f"{__name__}.{module}" for name, module in _HOMES.items()})


def __dir__() -> list[str]:
    return __all__
