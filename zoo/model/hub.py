"""What goes wrong with the Hugging Face Hub, as an error of the zoo's in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo.errors import ZooError


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """Raise whatever the Hub's library raises of network, permissions and names as one line.

    Parameters
    ----------
    what : str
        What could not be done, for the message.

    Yields
    ------
    None
        For the calls.

    Raises
    ------
    ZooError
        With the words of the library's error, and what to do where the Hub does not know who asks.
    """
    from huggingface_hub.errors import HfHubHTTPError

    bases: tuple[Any, ...] = HfHubHTTPError.__mro__
    network = [base for base in bases if base.__name__ == "HTTPError"]  # of requests, httpx or httpx2
    try:
        yield
    except (OSError, ValueError, *network) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        hint = "; check the name, and where it is private log in by `hf auth login` or HF_TOKEN" if status == 401 else ""
        raise ZooError(f"{what}: {' '.join(str(error).split())}{hint}") from error
