"""A zoo of pretrained physics models.

>>> import zoo
>>> zoo.list_models("ive-*")
['ive-pendulum']
>>> model = zoo.load("ive-pendulum")  # doctest: +SKIP

Names are imported when they are first used: ``import zoo`` loads neither Keras nor TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.lazy import importer

if TYPE_CHECKING:
    from zoo.errors import ZooError as ZooError
    from zoo.finetune import fine_tune as fine_tune
    from zoo.hub import push as push
    from zoo.inference import train_npe as train_npe
    from zoo.interpret.attribution import explain as explain
    from zoo.loading import load as load
    from zoo.registry import get_spec as get_spec
    from zoo.registry import list_models as list_models
    from zoo.registry import register_family as register_family
    from zoo.registry import register_path as register_path

_HOMES = {
    "ZooError": "zoo.errors",
    "explain": "zoo.interpret.attribution",
    "fine_tune": "zoo.finetune",
    "get_spec": "zoo.registry",
    "list_models": "zoo.registry",
    "load": "zoo.loading",
    "push": "zoo.hub",
    "register_family": "zoo.registry",
    "register_path": "zoo.registry",
    "train_npe": "zoo.inference",
}

__all__ = sorted(_HOMES)
_imported = importer(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("physzoo")
    return _imported(name)


def __dir__() -> list[str]:
    return __all__
