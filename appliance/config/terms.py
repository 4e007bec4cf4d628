"""The terms on which a gateway of a trunk, or a trunk of a group, takes part in the choice: ;priority=1;weight=3."""

from __future__ import annotations

import re
from typing import Final

import attrs


@attrs.frozen
class Terms:
    """On what terms one takes part in the choice: `share` in per cent, `capacity` in calls, None where not given."""

    priority: int = 1
    weight: int = 1
    share: int | None = None
    capacity: int | None = None


USUAL: Final = Terms()
_BOUNDS: Final = {"priority": (1, 100), "weight": (0, 10_000), "share": (0, 100), "capacity": (1, 1_000_000)}
TERMS_ACCEPTED: Final = "[;priority=N][;weight=N][;share=PER CENT][;capacity=CALLS]"


def read_terms(value: str) -> tuple[str, Terms]:
    """(`value` without its terms, the terms). Raises ValueError."""
    kept, found = [], {}
    first, *parameters = (part.strip() for part in value.split(";"))
    for parameter in parameters:
        key, _, number = parameter.partition("=")
        key, number = key.strip().lower(), number.strip()
        if key not in _BOUNDS:
            kept.append(parameter)
            continue
        if key in found:
            raise ValueError(f"{key} stands twice in {value!r}")
        number = number.removesuffix("%").strip() if key == "share" else number
        low, high = _BOUNDS[key]
        if not re.fullmatch(r"\d{1,9}", number) or not low <= int(number) <= high:
            raise ValueError(f"{key} in {value!r} is not a whole number from {low} to {high}")
        found[key] = int(number)
    return ";".join([first, *kept]), Terms(**found)
