"""The application behind ``zoo serve`` in one server of HTTP or another: python on_http.py HOST FOLDER REST_PORT GRPC_PORT.

HOST is ``own`` (the HTTP that was ours), ``uvicorn`` (with httptools and uvloop) or ``granian``. gRPC is not opened.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from zoo.serving.server import Server, create_app

FOLDER, PORT = sys.argv[2], int(sys.argv[3])
sys.setswitchinterval(0.0005)  # as zoo serve does


async def own() -> None:
    """Serve until SIGTERM."""
    from zoo.serving.http import HttpServer

    http, stop = HttpServer(Server([FOLDER]).app.rest), asyncio.Event()
    await http.start("127.0.0.1", PORT)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await http.stop(1)


def application() -> object:
    """What granian calls in its worker."""
    return create_app([FOLDER])


if __name__ == "__main__":
    if sys.argv[1] == "own":
        import uvloop

        uvloop.run(own())
    elif sys.argv[1] == "uvicorn":
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
