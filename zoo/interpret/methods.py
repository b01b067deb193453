"""The words for all methods of explaining, as command line and API share them; without heavy imports, so that help is quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import InputError, UnknownNameError

ATTRIBUTION = {
    "gradient": "derivative of the answer",
    "gradient_x_input": "derivative times input",
    "integrated_gradients": "mean derivative from the baseline to the input, times their difference",
    "smoothgrad": "mean derivative under noise",
    "grad_cam": "places of the last convolution's maps; --layer for another convolution",
    "occlusion": "what the answer loses with a patch; --patch",
    "shap": "Shapley values; --patch",
    "lime": "local linear surrogate; --patch",
}
"""What each element of the given rows contributes; words of `zoo.interpret.explain`."""
GLOBAL = {
    "permutation_importance": "what answers lose when an input is shuffled among rows; --patch",
    "impurity_importance": "what splits on an input gained, of trees",
    "partial_dependence": "mean and single answers along an input; --features",
    "feature_maps": "activations of a layer; --layer",
    "activation_maximisation": "inputs that excite the units of a layer; --layer",
    "pca": "activations of a layer in two dimensions, coloured by physics; --layer",
    "tsne": "the same, neighbours kept; --layer",
    "latents": "which physical quantities latents carry, and by which formula",
    "traversal": "what answers do as one latent moves",
}
"""What the model does over all rows."""
TRUST = {
    "randomisation": "what is left of an attribution when weights are random; --of",
    "deletion_insertion": "whether the answer follows the elements that an attribution names; --of",
    "stability": "how much of an attribution survives noise; --of",
    "agreement": "rank correlation between all attributions that the model allows",
}
"""Whether attributions can be believed."""
ALL = ATTRIBUTION | GLOBAL | TRUST

OPTIONS = {
    "patch": ("occlusion", "shap", "lime", "permutation_importance"),
    "layer": ("grad_cam", "feature_maps", "activation_maximisation", "pca", "tsne"),
    "features": ("partial_dependence",),
    "of": ("randomisation", "deletion_insertion", "stability"),
    "rows": ("latents", "permutation_importance", "partial_dependence", "pca", "tsne"),
    "endpoint": (*ATTRIBUTION, *TRUST, "partial_dependence", "feature_maps", "activation_maximisation", "pca", "tsne"),
    "output": (*ATTRIBUTION, *TRUST, "partial_dependence"),
    "target": (*ATTRIBUTION, *TRUST, "partial_dependence", "permutation_importance"),
    "wrt": (*ATTRIBUTION, *TRUST, "activation_maximisation"),
}
"""Option of the command line -> methods that take it."""
WITHOUT_ROWS = ("impurity_importance", "activation_maximisation", "traversal")
"""Methods that ask the model alone."""


def given_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that are not None; UnknownNameError for another method, InputError for an option that it does not take."""
    if method not in ALL:
        raise UnknownNameError("method", method, ALL)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if method not in OPTIONS[name]:
            raise InputError(f"--method {method} takes no --{name}, which goes with {', '.join(OPTIONS[name])}")
    return given


def described() -> str:
    """One line a method, under its heading."""
    parts = (("Attribution", ATTRIBUTION), ("Global", GLOBAL), ("Trust", TRUST))
    width = max(map(len, ALL))
    return "\n\n".join(
        "\b\n" + f"{heading} methods\n" + "\n".join(f"  {word:{width}}  {what}" for word, what in words.items())
        for heading, words in parts
    )
