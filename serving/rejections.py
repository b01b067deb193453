"""What the server refuses, with the status that REST gives; gRPC has a code for each."""

from __future__ import annotations

from zoo.errors import ZooError


class RefusedError(ZooError):
    """A request that is answered with a sentence instead of tensors.

    Parameters
    ----------
    status : int
        The status of HTTP.
    message : str
        What was expected, what was given, what to do.
    headers : tuple of tuple of (bytes, bytes)
        Headers of the REST answer besides those of every answer.
    """

    def __init__(self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def busy(message: str) -> RefusedError:
    """A refusal (503) of what the same client may ask again in a second."""
    return RefusedError(503, message, ((b"retry-after", b"1"),))
