"""What is known of one order of headers: peers send theirs in few, so it is worked out once (`parser`)."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

Match = Callable[[str], re.Match[str] | None]


@attrs.define(eq=False)
class Shape:
    """Facts of one order of headers: where the first of each kind lies, -1 for nowhere; `kinds` are all that there are.

    `fault` is what `parser.check_untrusted` has to say of the order alone: missing and doubled headers. `met` counts
    the messages until there is a `match`, which takes a whole head of this order apart into its lines.
    """

    keys: list[str]
    kinds: frozenset[str]
    via: int
    from_: int
    to: int
    call_id: int
    cseq: int
    content_length: int
    max_forwards: int
    fault: str | None
    met: int = 0
    match: Match | None = None
