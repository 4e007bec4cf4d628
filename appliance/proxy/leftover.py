"""A `Leftover`: the BYE of a call that the box has forgotten over a restart."""

from __future__ import annotations

import attrs

from appliance.sip.flow import Address
from appliance.sip.message import Request


@attrs.define(eq=False)
class Leftover:
    """`serial` is that of the call, `at` the time of day in seconds; `by_caller` says who hung up."""

    serial: str
    request: Request
    source: Address
    at: float
    by_caller: bool
