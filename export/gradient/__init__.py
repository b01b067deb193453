"""The gradient of an answer, written as an ONNX graph."""
