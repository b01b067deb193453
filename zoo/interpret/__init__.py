"""Look inside any loaded model, ask how far it can be believed, and use a flow.

Attribution and trust in it; latents, what they mean, their disentanglement and distillation; calibration and the propagation of
uncertainty; posteriors, typicality and flow-assisted MCMC; a figure for each.

Names are imported when they are first used: ``import zoo.interpret`` loads neither Keras nor matplotlib.
"""

import lazy_loader

from zoo.extras import with_extras

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = with_extras(_imported)
