"""The model on KServe's own server: python on_kserve.py FOLDER REST_PORT GRPC_PORT.

One worker, since the load generator has the other core.
"""

import argparse
import logging
from pathlib import Path

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Mlp(Model):
    """ONNX Runtime on one thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__("mlp")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "predict.onnx", options, providers=["CPUExecutionProvider"])
        self.ready = True

    async def predict(
        self, payload: InferRequest, headers: dict | None = None, response_headers: dict | None = None
    ) -> InferResponse:
        """Run one request, tensors as bytes where it says so."""
        (y,) = self.session.run(["y"], {"x": payload.inputs[0].as_numpy()})
        output = InferOutput("y", list(y.shape), "FP32")
        output.set_data_from_numpy(y)
        return InferResponse(payload.id, self.name, [output], requested_outputs=payload.request_outputs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("rest", type=int)
    parser.add_argument("grpc", type=int)
    options = parser.parse_args()
    server = ModelServer(http_port=options.rest, grpc_port=options.grpc, workers=1, enable_latency_logging=False)
    logging.disable(logging.INFO)
    server.start([Mlp(options.folder)])
