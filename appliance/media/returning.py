"""An SSRC that comes back to a browser after another one had its place gets a new name.

Chromium learns the SSRCs of a plain phone as they come (nothing in SDP names them) and keeps one. One that it left for
another, as music on hold has, it never hears again. RTCP is renamed on its way (carry.py). RFC 3550 §8.
"""

from __future__ import annotations

from secrets import randbits
from typing import TYPE_CHECKING

from appliance.media.backend import EndpointKind
from appliance.media.relaystream import Partner

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint

TOOK_OVER_S = 0.3
"""Two that were last heard closer together than this speak at the same time."""

MOST_NAMES = 100
"""Each one costs an SRTP stream; nobody is put on hold more often."""


def rename_returned(endpoint: RelayEndpoint) -> bool:
    """Once a second; whether a source of this endpoint has a new name."""
    if endpoint.kind is EndpointKind.WEBRTC or len(endpoint.sources) < 2:
        return False
    renamed = False
    for index, stream in endpoint.streams.items():
        if stream.renamed == MOST_NAMES:
            continue
        join = endpoint.joins.get(index)
        if isinstance(join, Partner) and join.endpoint.kind is EndpointKind.WEBRTC:
            again = _rename(endpoint, index)
            stream.renamed += again
            renamed |= again
    return renamed


def _rename(endpoint: RelayEndpoint, index: int) -> bool:
    """Sources stand in the order in which the browser met them."""
    sources = endpoint.sources_of(index)
    newest = sources[-1] if sources else None
    latest = max(sources, key=lambda source: source.reception.last_heard, default=None)
    if newest is None or latest is None or latest is newest:
        return False
    if latest.reception.last_heard - newest.reception.last_heard < TOOK_OVER_S:
        return False
    latest.alias = randbits(32)
    endpoint.sources[latest.ssrc] = endpoint.sources.pop(latest.ssrc)
    return True
