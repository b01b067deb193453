"""Released models answering in experiment software: ONNX Runtime in process, or the Open Inference Protocol on a port.

Nothing here imports TensorFlow or Keras, and importing this package does not import the web server.
"""

from __future__ import annotations

from zoo.serving.session import Session

__all__ = ["Session"]
