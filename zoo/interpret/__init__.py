"""Look inside any loaded model: attribution, latents, their use and what they mean, disentanglement, information, distillation,
calibration, plots; and use a flow: posteriors, typicality, flow-assisted MCMC.

Names are imported when they are first used: ``import zoo.interpret`` loads neither Keras nor matplotlib.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
