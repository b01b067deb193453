"""Look inside any loaded model: attribution, latents, their use and what they mean, disentanglement, information, distillation,
calibration, plots; and use a flow: posteriors, typicality, flow-assisted MCMC.

Names are imported when they are first used: ``import zoo.interpret`` loads neither Keras nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy import importer

if TYPE_CHECKING:
    from zoo.interpret.activation_maximisation import Maximised as Maximised
    from zoo.interpret.activation_maximisation import maximise_activation as maximise_activation
    from zoo.interpret.activations import Embedding as Embedding
    from zoo.interpret.activations import FeatureMaps as FeatureMaps
    from zoo.interpret.activations import embed as embed
    from zoo.interpret.activations import feature_maps as feature_maps
    from zoo.interpret.attribution import explain as explain
    from zoo.interpret.calibration import expected_calibration_error as expected_calibration_error
    from zoo.interpret.calibration import fit_temperature as fit_temperature
    from zoo.interpret.calibration import reliability as reliability
    from zoo.interpret.conformal import ConformalClassifier as ConformalClassifier
    from zoo.interpret.conformal import ConformalRegressor as ConformalRegressor
    from zoo.interpret.conformal import conformal_classifier as conformal_classifier
    from zoo.interpret.conformal import conformal_regressor as conformal_regressor
    from zoo.interpret.deletion import DeletionInsertion as DeletionInsertion
    from zoo.interpret.deletion import deletion_insertion as deletion_insertion
    from zoo.interpret.dependence import Dependence as Dependence
    from zoo.interpret.dependence import partial_dependence as partial_dependence
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
    from zoo.interpret.estimator import as_estimator as as_estimator
    from zoo.interpret.estimator import feature_names as feature_names
    from zoo.interpret.explanation import Explanation as Explanation
    from zoo.interpret.importance import Importance as Importance
    from zoo.interpret.importance import impurity_importance as impurity_importance
    from zoo.interpret.importance import permutation_importance as permutation_importance
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
    from zoo.interpret.randomisation import Randomisation as Randomisation
    from zoo.interpret.randomisation import randomisation_check as randomisation_check
    from zoo.interpret.rank_agreement import Agreement as Agreement
    from zoo.interpret.rank_agreement import Stability as Stability
    from zoo.interpret.rank_agreement import agreement as agreement
    from zoo.interpret.rank_agreement import rank_correlation as rank_correlation
    from zoo.interpret.rank_agreement import stability as stability
    from zoo.interpret.typicality import Typicality as Typicality
    from zoo.interpret.typicality import TypicalityCalibration as TypicalityCalibration
    from zoo.interpret.typicality import typicality_calibration as typicality_calibration
    from zoo.interpret.typicality import typicality_test as typicality_test

_HOMES = {
    "Agreement": "rank_agreement",
    "Chains": "mcmc",
    "ConformalClassifier": "conformal",
    "ConformalRegressor": "conformal",
    "Coverage": "posterior",
    "DeletionInsertion": "deletion",
    "Dependence": "dependence",
    "Efficiency": "efficiency",
    "Embedding": "activations",
    "Explanation": "explanation",
    "FeatureMaps": "activations",
    "Formula": "distillation",
    "Importance": "importance",
    "LatentReport": "latent_report",
    "LatentUse": "latent_use",
    "Maximised": "activation_maximisation",
    "PredictiveCheck": "posterior",
    "Propagated": "propagation",
    "Randomisation": "randomisation",
    "RankUniformity": "posterior",
    "Stability": "rank_agreement",
    "Typicality": "typicality",
    "TypicalityCalibration": "typicality",
    "active_latents": "latents",
    "active_units": "latent_use",
    "agreement": "rank_agreement",
    "as_estimator": "estimator",
    "beta_vae_score": "disentanglement",
    "conformal_classifier": "conformal",
    "conformal_regressor": "conformal",
    "dci": "disentanglement",
    "deletion_insertion": "deletion",
    "disentanglement_scores": "disentanglement",
    "distil": "distillation",
    "distil_latents": "distillation",
    "efficiency_against": "efficiency",
    "embed": "activations",
    "expected_calibration_error": "calibration",
    "explain": "attribution",
    "factor_vae_score": "disentanglement",
    "feature_maps": "activations",
    "feature_names": "estimator",
    "fit_temperature": "calibration",
    "flow_mcmc": "mcmc",
    "impurity_importance": "importance",
    "information_profile": "information",
    "kl_per_latent": "latents",
    "linear_r2": "latents",
    "maximise_activation": "activation_maximisation",
    "mig": "disentanglement",
    "mutual_information": "information",
    "mutual_information_matrix": "information",
    "neighbour_information": "information",
    "partial_dependence": "dependence",
    "permutation_importance": "importance",
    "posterior_predictive": "posterior",
    "propagate": "propagation",
    "randomisation_check": "randomisation",
    "rank_correlation": "rank_agreement",
    "rank_uniformity": "posterior",
    "relate_latents": "latent_report",
    "relate_posteriors": "latent_report",
    "reliability": "calibration",
    "sap": "disentanglement",
    "sbc_ranks": "posterior",
    "stability": "rank_agreement",
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
