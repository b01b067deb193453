"""Figures. Each function returns a `matplotlib.figure.Figure` made without pyplot: no window, no global state."""

# ruff: noqa: E402 - whoever asks for a figure without matplotlib is told the extra that brings it.
from zoo.extras import expect_installed

expect_installed("matplotlib")

from zoo.interpret.plots.activations import embedding_by_quantity, feature_map_grid, maximized_inputs
from zoo.interpret.plots.anomaly import (
    beside_draws,
    events_that_pass,
    improvement_against_efficiency,
    improvement_against_signal,
)
from zoo.interpret.plots.attribution import attribution_over_axis, attribution_over_observation
from zoo.interpret.plots.classification import (
    auc_against_ebops,
    auc_against_rows,
    coefficients_over_axis,
    confusion,
    efficiency_curve,
    learning_curves,
    recall_against_difficulty,
    rejection_curves,
    reliability_diagram,
    roc,
)
from zoo.interpret.plots.clouds import attention_of_class_token, attribution_over_cloud, filters_over_plane
from zoo.interpret.plots.corner import corner_plot, coverage_curve, predictive_plot, rank_histograms
from zoo.interpret.plots.cubes import attribution_over_cube
from zoo.interpret.plots.density import density_and_samples
from zoo.interpret.plots.disentanglement import against_beta
from zoo.interpret.plots.distribution import (
    coverage_of_intervals,
    distribution_of_answers,
    error_against_truth,
    importance_over_scale,
)
from zoo.interpret.plots.images import attribution_over_image, attribution_over_map, image_grid
from zoo.interpret.plots.importance import importance_of_groups, partial_dependence_curves
from zoo.interpret.plots.information import information_along_query, information_heat_map
from zoo.interpret.plots.motion import energy_errors
from zoo.interpret.plots.parameterized import auc_against_parameter, rejection_against_divergence, sculpted_distributions
from zoo.interpret.plots.profiles import answered_profiles, scatter_along_query
from zoo.interpret.plots.regression import error_quantiles
from zoo.interpret.plots.traversals import latent_traversal, latents_against_parameters
from zoo.interpret.plots.trust import (
    agreement_matrix,
    deletion_insertion_curves,
    randomization_curve,
    stability_under_noise,
)
from zoo.interpret.plots.typicality import typicality_curve

__all__ = [
    "against_beta",
    "agreement_matrix",
    "answered_profiles",
    "attention_of_class_token",
    "attribution_over_axis",
    "attribution_over_cloud",
    "attribution_over_cube",
    "attribution_over_image",
    "attribution_over_map",
    "attribution_over_observation",
    "auc_against_ebops",
    "auc_against_parameter",
    "auc_against_rows",
    "beside_draws",
    "coefficients_over_axis",
    "confusion",
    "corner_plot",
    "coverage_curve",
    "coverage_of_intervals",
    "deletion_insertion_curves",
    "density_and_samples",
    "distribution_of_answers",
    "efficiency_curve",
    "embedding_by_quantity",
    "energy_errors",
    "error_against_truth",
    "error_quantiles",
    "events_that_pass",
    "feature_map_grid",
    "filters_over_plane",
    "image_grid",
    "importance_of_groups",
    "importance_over_scale",
    "improvement_against_efficiency",
    "improvement_against_signal",
    "information_along_query",
    "information_heat_map",
    "latent_traversal",
    "latents_against_parameters",
    "learning_curves",
    "maximized_inputs",
    "partial_dependence_curves",
    "predictive_plot",
    "randomization_curve",
    "rank_histograms",
    "recall_against_difficulty",
    "rejection_against_divergence",
    "rejection_curves",
    "reliability_diagram",
    "roc",
    "scatter_along_query",
    "sculpted_distributions",
    "stability_under_noise",
    "typicality_curve",
]
