"""A model as one TensorFlow SavedModel with one signature per endpoint."""

from __future__ import annotations

import errno
from pathlib import Path

import keras
import tensorflow as tf

from zoo.errors import ExportError
from zoo.export.traced import signature, traced
from zoo.families.base import EndpointModel
from zoo.model.spec import ModelSpec


def to_saved_model(model: EndpointModel, spec: ModelSpec, folder: str | Path) -> None:
    """Write a SavedModel that needs none of our code: ``tf.saved_model.load(folder).signatures[endpoint](**tensors)``.

    Tensors have the names and shapes of the spec, with a free batch. The first endpoint is the ``serving_default`` too.

    Raises
    ------
    ExportError
        What ``zoo.export.traced.traced`` raises, and a folder that cannot be written.
    OSError
        The disk is full.
    """
    archive = keras.export.ExportArchive()
    for endpoint, described in spec.endpoints.items():
        archive.add_endpoint(endpoint, traced(model, spec, endpoint), input_signature=signature(described))
    try:
        archive.write_out(str(folder), verbose=False)
    except tf.errors.ResourceExhaustedError as error:  # what TensorFlow makes of a full disk
        raise OSError(errno.ENOSPC, str(error)) from error
    except tf.errors.OpError as error:
        raise ExportError(f"{folder}: the SavedModel could not be written: {error}") from error
