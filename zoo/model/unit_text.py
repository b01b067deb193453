"""Numbers and their unit as a person reads them."""

from __future__ import annotations


def unit_behind(text: str, unit: str) -> str:
    """Text with the unit behind it, where there is one: "0 to 10 s", and "0 to 10" of a number without one."""
    return text if unit in ("", "1") else f"{text} {unit}"
