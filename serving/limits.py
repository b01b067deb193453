"""What a client may take of the server, and what all of them together."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.serving.rejections import RefusedError, busy


@dataclass(frozen=True)
class Limits:
    """What one client may take of the server.

    Attributes
    ----------
    body : int
        The largest request, in bytes, compressed or not.
    pending : int
        Bytes of all requests together, compressed and not, that are being read or answered, and of their answers until these
        are sent.
    reading : float
        Seconds within which a request must have arrived.
    """

    body: int = 64 * 2**20
    pending: int = 2**30
    reading: float = 60.0

    def too_large(self) -> RefusedError:
        """The refusal (413) of a request that is too large."""
        return RefusedError(413, f"the request is larger than the {self.body} bytes that this server accepts")

    def too_many(self) -> RefusedError:
        """The refusal (503) of a request for which there is no memory now."""
        return busy("this server holds as many bytes of requests and answers as it may: ask again later")

    def too_much(self, size: int, rows: int) -> RefusedError:
        """The refusal (413) of a request whose answer there is never memory for."""
        return RefusedError(
            413, f"the answer to {rows} rows takes {size} bytes, of which this server has {self.pending}: ask for fewer rows"
        )

    def too_slow(self) -> RefusedError:
        """The refusal (408) of a request that has not arrived in time."""
        return RefusedError(408, f"the request did not arrive within {self.reading:g} s: send it faster, or in parts")
