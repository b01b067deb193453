"""Models as ONNX graphs, SavedModels and model repositories that answer as they do, or are not written.

Names are imported when they are first used: a repository of released models is made without TensorFlow.
"""

from typing import Any

import lazy_loader

from zoo.errors import ZooError
from zoo.quiet import quiet_start

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    try:
        with quiet_start():
            return _imported(name)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("zoo"):
            raise
        raise ZooError(f"export needs {error.name}, which is not installed: pip install 'physzoo[export,cpu]'") from error
