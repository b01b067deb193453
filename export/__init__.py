"""Models as ONNX graphs, SavedModels and model repositories that answer as they do, or are not written.

Names are imported when they are first used: a repository of released models is made without TensorFlow.
"""

import lazy_loader

from zoo.extras import with_extras

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = with_extras(_imported)
