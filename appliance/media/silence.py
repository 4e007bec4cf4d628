"""Silence: noticing that a stream is mute, and saying which side, since when and why, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.media.backend import EventKind
from appliance.media.relaystream import Stream, describe

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint

_ON_THE_WAY_OUT = frozenset(
    {
        "buffer_full",
        "consumed",
        "feedback_not_negotiated",
        "held",
        "no_destination",
        "not_joined",
        "rtcp_unsent",
        "srtp_protect",
        "ssrc_collision",
        "unreachable",
    }
)
"""Packets that were heard and went no further, or were ours: no reason for a peer not to be heard."""


def expect_media(endpoint: RelayEndpoint, now: float) -> None:
    """After each change of the SDP: from now on the peer may be expected to send, or need not."""
    remote = endpoint.remote
    reachable = remote.rtp is not None or remote.ice_ufrag is not None
    for stream in endpoint.streams.values():
        if not (stream.spec.receive and reachable):
            stream.listening_since = None
        elif stream.listening_since is None:
            stream.listening_since, stream.silent = now, False


def watch_silence(endpoint: RelayEndpoint, now: float) -> None:
    """Once a second: tell when a stream falls silent and when it is heard again.

    A phone that leaves silence out sends nothing while nobody speaks there; where it was heard once, its RTCP says
    that it is still there.
    """
    limit = endpoint.relay.options.silence_s
    for index, stream in list(endpoint.streams.items()):
        if stream.listening_since is None:
            continue
        heard = stream.last_heard(endpoint.sources_of(index))
        alive = -1.0 if heard is None else max(heard, endpoint.control.heard_at)
        quiet = now - max(stream.listening_since, alive) >= limit
        if quiet == stream.silent:
            continue
        stream.silent = quiet
        if quiet:
            endpoint.tell(EventKind.SILENT, explain(endpoint, stream, heard, now), index)
        else:
            sentence = f"{describe(stream.spec)} is heard again from {endpoint.peer}"
            endpoint.tell(EventKind.HEARD_AGAIN, sentence, index)


def explain(endpoint: RelayEndpoint, stream: Stream, heard: float | None, now: float) -> str:
    what = describe(stream.spec)
    since = stream.listening_since or now
    if heard is not None:
        said = f"no {what} from {endpoint.peer} for {now - max(heard, since):.0f} s"
    else:
        said = f"no {what} was ever heard from {endpoint.peer}, for {now - since:.0f} s now"
    why = missing(endpoint)
    return f"{said}: {why}" if why else said


def missing(endpoint: RelayEndpoint) -> str:
    """What stands in the way of the peer being heard, "" where nothing is known to."""
    why = endpoint.secured.why_mute() if endpoint.secured is not None else None
    if why is not None:
        return why
    for cause, count in endpoint.drops.most_common():
        if cause in _ON_THE_WAY_OUT:
            continue
        why = f"{count} packets were dropped as {cause}"
        if endpoint.foreign is not None and cause == "unknown_source":
            why += f", the last of them from {show(endpoint.foreign)}"
        return why
    if endpoint.drops["unreachable"]:
        return f"what is sent to {endpoint.peer} comes back: nobody listens there"
    return ""


def show(address: tuple[str, int] | None) -> str:
    if address is None:
        return "an unknown address"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
