"""A zoo of pretrained physics models.

>>> import zoo
>>> zoo.list_models("ive-*")
['ive-halo-mass', 'ive-halo-profile-2', 'ive-halo-profile-3', 'ive-pendulum', 'ive-synthetic-halo']
>>> zoo.get_spec("ive-pendulum").endpoint("encode").outputs[0].name
'mean'
>>> model = zoo.load("ive-pendulum")  # doctest: +SKIP

Names are imported when they are first used: ``import zoo`` loads neither Keras nor TensorFlow.
"""

from typing import Any

import lazy_loader

from zoo.quiet import import_quietly

import_quietly()
_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("physzoo")
    from zoo.extras import with_extras

    return with_extras(_imported)(name)
