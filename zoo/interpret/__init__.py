"""Look inside any loaded model: attribution, latents, information, calibration, plots.

Names are imported when they are first used: ``import zoo.interpret`` loads neither Keras nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "Explanation": "explanation",
    "active_latents": "latents",
    "expected_calibration_error": "calibration",
    "explain": "attribution",
    "kl_per_latent": "latents",
    "linear_r2": "latents",
    "mutual_information": "information",
    "mutual_information_matrix": "information",
    "reliability": "calibration",
    "traverse": "latents",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.interpret' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.interpret.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
