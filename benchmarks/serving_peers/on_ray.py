"""The model on Ray Serve: python on_ray.py FOLDER REST_PORT GRPC_PORT (which it does not open).

Its batching joins what waits; requests and answers are those of the Open Inference Protocol with binary tensors.
"""

import json
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # what its docs advise for fast models
    "RAY_agent_register_timeout_ms": "200000",
    "RAY_raylet_start_wait_time_s": "200",
}

import numpy as np
import onnxruntime
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

_LENGTH = "inference-header-content-length"


@serve.deployment(max_ongoing_requests=100)
class Mlp:
    """ONNX Runtime on one thread."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "predict.onnx", options, providers=["CPUExecutionProvider"])

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0)
    async def infer(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Run what waits as one batch."""
        (y,) = self.session.run(["y"], {"x": np.concatenate(arrays) if len(arrays) > 1 else arrays[0]})
        return np.split(y, np.cumsum([len(x) for x in arrays])[:-1])

    async def __call__(self, request: Request) -> Response:
        """Answer one request; anything but a POST asks whether it is ready."""
        if request.method != "POST":
            return Response()
        body, size = await request.body(), int(request.headers[_LENGTH])
        shape = json.loads(body[:size])["inputs"][0]["shape"]
        y = await self.infer(np.frombuffer(body, "<f4", offset=size).reshape(shape))
        tensor = {"name": "y", "datatype": "FP32", "shape": y.shape, "parameters": {"binary_data_size": y.nbytes}}
        text = json.dumps({"model_name": "mlp", "outputs": [tensor]}).encode()
        return Response(text + y.tobytes(), media_type="application/octet-stream", headers={_LENGTH: str(len(text))})


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as temporary:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=temporary)
        serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
        serve.run(Mlp.bind(Path(sys.argv[1])))
        try:
            signal.pause()
        finally:
            serve.shutdown()
            ray.shutdown()
