"""The license of data in the words of whoever has them, and as the Hugging Face Hub takes it."""

from __future__ import annotations

import json
import re

UNKNOWN = "unknown"
"""What stands, here and on the Hub, for a license that nobody has said."""
ON_THE_HUB = {
    "apache-2.0", "bsd-2-clause", "bsd-3-clause", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "cdla-sharing-1.0", "etalab-2.0", "eupl-1.1", "gfdl", "gpl-2.0", "gpl-3.0", "mit", "odbl", "odc-by", "pddl", "unlicense",
}  # fmt: skip
"""Identifiers that the Hub knows (huggingface.co/docs/hub/repositories-licenses), those that data have."""


def hub_license(license: str) -> list[str]:
    """Write a license as lines of the front matter of a card.

    Parameters
    ----------
    license : str
        An identifier, of SPDX or of the Hub, or any other words, an address among them.

    Returns
    -------
    list of str
        ``license: IDENTIFIER``; of others ``license: other`` with ``license_name`` and, where there is an address in the words,
        ``license_link``.

    Examples
    --------
    >>> hub_license("CC BY 4.0")
    ['license: cc-by-4.0']
    """
    identifier = re.sub(r"\s+", "-", license.strip()).lower()
    if identifier in ON_THE_HUB or identifier == UNKNOWN:
        return [f"license: {identifier}"]
    link = re.search(r"https?://\S+", license)
    words = license if link is None else license.replace(link[0], "").strip() or link[0].partition("//")[2]
    name = re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-.")
    lines = ["license: other", f"license_name: {json.dumps(name or 'custom')}"]
    return lines if link is None else [*lines, f"license_link: {json.dumps(link[0])}"]
