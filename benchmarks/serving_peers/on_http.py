"""The application behind ``zoo serve`` in one server of HTTP or another: python on_http.py HOST FOLDER REST_PORT GRPC_PORT.

HOST is ``uvicorn``, as it comes, with httptools and uvloop, or ``granian``. gRPC is not opened.
"""

from __future__ import annotations

import sys

from zoo.serving.server import create_app

FOLDER, PORT = sys.argv[2], int(sys.argv[3])
sys.setswitchinterval(0.0005)  # as zoo serve does


def application() -> object:
    """What granian calls in its worker."""
    return create_app([FOLDER])


if __name__ == "__main__":
    if sys.argv[1] == "uvicorn":
        import uvicorn

        uvicorn.run(create_app([FOLDER]), port=PORT, http="httptools", loop="uvloop", access_log=False, log_level="error")
    else:
        from granian import Granian
        from granian.constants import HTTPModes, Interfaces, Loops

        Granian(
            f"{__file__}:application",
            port=PORT,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            loop=Loops.uvloop,
            factory=True,
            websockets=False,
            log_enabled=False,
        ).serve()
