"""Models as ONNX graphs, SavedModels and model repositories that answer as they do, or are not written.

Names are imported when they are first used: a repository of released models is made without TensorFlow.
"""

from typing import Any

import lazy_loader

from zoo.extras import missing
from zoo.quiet import quiet_start

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    try:
        with quiet_start():
            return _imported(name)
    except ModuleNotFoundError as error:
        raise missing(error) from error
