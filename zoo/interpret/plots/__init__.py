"""Figures. Each function returns a `matplotlib.figure.Figure` made without pyplot: no window, no global state."""

from zoo.interpret.plots.classification import (
    confusion,
    efficiency_curve,
    learning_curves,
    recall_against_difficulty,
    reliability_diagram,
    roc,
)
from zoo.interpret.plots.cubes import attribution_over_cube
from zoo.interpret.plots.density import density_and_samples
from zoo.interpret.plots.disentanglement import against_beta
from zoo.interpret.plots.distribution import (
    coverage_of_intervals,
    distribution_of_answers,
    error_against_truth,
    importance_over_scale,
)
from zoo.interpret.plots.images import image_grid
from zoo.interpret.plots.information import information_along_query, information_heat_map
from zoo.interpret.plots.latents import latent_traversal, latents_against_parameters
from zoo.interpret.plots.posterior import corner_plot, coverage_curve, predictive_plot, rank_histograms
from zoo.interpret.plots.profiles import answered_profiles, scatter_along_query
from zoo.interpret.plots.regression import error_quantiles
from zoo.interpret.plots.spectra import attribution_over_elements, attribution_over_multipoles, planck_spectrum_plot
from zoo.interpret.plots.typicality import typicality_curve

__all__ = [
    "against_beta",
    "answered_profiles",
    "attribution_over_cube",
    "attribution_over_elements",
    "attribution_over_multipoles",
    "confusion",
    "corner_plot",
    "coverage_curve",
    "coverage_of_intervals",
    "density_and_samples",
    "distribution_of_answers",
    "efficiency_curve",
    "error_against_truth",
    "error_quantiles",
    "image_grid",
    "importance_over_scale",
    "information_along_query",
    "information_heat_map",
    "latent_traversal",
    "latents_against_parameters",
    "learning_curves",
    "planck_spectrum_plot",
    "predictive_plot",
    "rank_histograms",
    "recall_against_difficulty",
    "reliability_diagram",
    "roc",
    "scatter_along_query",
    "typicality_curve",
]
