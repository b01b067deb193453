"""The model on MLServer: python on_mlserver.py FOLDER REST_PORT GRPC_PORT.

REST takes JSON only. Workers of its own (``parallel_workers``) would copy every tensor to another process and back, and its
batching would join lists of numbers: for this model both cost more than they bring.
"""

import asyncio
import sys
from pathlib import Path

import onnxruntime
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse


class Mlp(MLModel):
    """ONNX Runtime on one thread."""

    async def load(self) -> bool:
        """Open the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = Path(self.settings.parameters.uri) / "predict.onnx"
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run one request."""
        x = NumpyCodec.decode_input(payload.inputs[0])
        (y,) = self.session.run(["y"], {"x": x})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])


async def main(folder: str, rest: int, grpc: int) -> None:
    """Serve until told to stop."""
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=rest,
        grpc_port=grpc,
        metrics_endpoint=None,
        parallel_workers=0,
        gzip_enabled=False,
    )
    model = ModelSettings(name="mlp", implementation=Mlp, parameters=ModelParameters(uri=folder))
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
