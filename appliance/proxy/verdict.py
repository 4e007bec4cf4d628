"""The verdict on a call, in one sentence: who ended or refused it and why, which side is mute and since when; and what
to do. Pure: facts in, words out.
"""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from appliance.media.figures import StreamFigures, TransportFigures
from appliance.proxy.call_detail import CallDetail
from appliance.router.causes import Cause
from appliance.sip.flow import host_port

JUDGED_AFTER_S = 3.0
"""Before that nobody is called mute."""
_SENDS = ("sendrecv", "sendonly")
_LIMIT = re.compile(r"\blimit (\S+) \(")


class Tone(StrEnum):
    GOOD = "good"
    FAIR = "fair"
    BAD = "bad"


@attrs.frozen
class Mute:
    """A side that is not heard. `since` is wall-clock seconds; `always`: it never was. `why` is "" where not known."""

    side: str
    kind: str
    since: float
    always: bool
    why: str
    ice: str
    dtls: str
    local: str
    remote: str


@attrs.frozen
class Verdict:
    """`remedy` is "" where there is nothing to do."""

    sentence: str
    remedy: str
    tone: Tone
    mute: tuple[Mute, ...] = ()


def verdict(call: CallDetail) -> Verdict:
    """On a call in progress, one that has ended, or an INVITE that was refused."""
    mute = mute_sides(call)
    sound = _sound(call, mute)
    if sound is None and call.sound:
        sound = Verdict(call.sound, call.sound_remedy, Tone.BAD)
    if call.state in ("trying", "ringing"):
        return _on_its_way(call)
    if call.state == "answered":
        if sound is not None:
            return attrs.evolve(sound, sentence=f"In progress, but {_lower(sound.sentence)}.")
        heard = "both sides are heard" if call.media is not None else "its media goes past this box"
        return Verdict(f"In progress: {call.caller.name} talks to {_callee(call)}, and {heard}.", "", Tone.GOOD)
    if call.answered_at is not None:
        ended = _ended(call)
        if sound is None:
            return ended
        return attrs.evolve(sound, sentence=f"{sound.sentence}; {_lower(ended.sentence)}")
    return _failed(call)


def verdict_on_sound(call: CallDetail) -> Verdict | None:
    """Which side is or was not heard, None where both are or nobody knows."""
    return _sound(call, mute_sides(call))


def mute_sides(call: CallDetail) -> tuple[Mute, ...]:
    """The sides that should be heard and are not, as they stand now or stood at the end."""
    if call.media is None or call.answered_at is None or call.talked_s < JUDGED_AFTER_S:
        return ()
    found = []
    for leg in call.media.legs:
        if leg.name not in ("a", call.leg):
            continue
        side = "caller" if leg.name == "a" else "callee"
        for transport in leg.transports:
            for stream in transport.streams:
                one = _mute(call, side, transport, stream)
                if one is not None:
                    found.append(one)
    return tuple(found)


def _mute(call: CallDetail, side: str, transport: TransportFigures, stream: StreamFigures) -> Mute | None:
    if stream.kind != "audio" or stream.direction not in _SENDS or call.answered_at is None:
        return None
    never = stream.received.packets == 0
    if not never and stream.silent_since is None:
        return None
    since = call.answered_at
    if stream.last_heard is not None:
        since = max(since, (call.ended_at or call.seen_at) - max(0.0, transport.at - stream.last_heard))
    return Mute(
        side=side,
        kind=stream.kind,
        since=since,
        always=never,
        why=transport.missing,
        ice=transport.ice,
        dtls=transport.dtls,
        local=_address(transport.local),
        remote=_address(transport.remote),
    )


# Sound


def _sound(call: CallDetail, mute: tuple[Mute, ...]) -> Verdict | None:
    """What is wrong with the sound, None where nothing is."""
    if not mute:
        return None
    for one in mute:
        who = _side(call, one.side)
        if one.ice in ("waiting", "lost"):
            step = "never connected" if one.ice == "waiting" else "broke"
            remedy = (
                f"Let UDP through to {one.local} of this box from {who}; where the box stands behind NAT, its public "
                "address belongs into advertise of [media]."
            )
            return Verdict(
                f"No sound to or from {who}: ICE {step}{_because(one.why)}{_lasting(call, one)}", remedy, Tone.BAD, mute
            )
        if one.dtls not in ("none", "connected"):
            remedy = (
                f"Look at the DTLS steps of {who} below: the certificate of its end must be the one whose fingerprint "
                "its SDP gives, which a device in between that rewrites SDP or carries an old session breaks."
            )
            step = "the DTLS handshake failed" if one.dtls == "failed" else "the DTLS handshake did not end"
            why = "" if one.why.startswith(step) else _because(one.why)
            return Verdict(f"No sound to or from {who}: {step}{why}{_lasting(call, one)}", remedy, Tone.BAD, mute)
    sides = {one.side for one in mute}
    one = mute[0]
    if len(sides) > 1:
        remedy = f"Look whether a firewall lets UDP through to the media ports of this box, such as {one.local}."
        return Verdict(
            f"No sound in either direction: neither side was heard{_because(one.why)}{_lasting(call, one)}",
            remedy,
            Tone.BAD,
            mute,
        )
    who = _side(call, one.side)
    heard = "was never heard" if one.always else "fell silent"
    other = "caller" if one.side == "callee" else "callee"
    sentence = f"{who} {heard}{_because(one.why)}{_lasting(call, one)}"
    if other in _sides_with_media(call):
        sentence = f"One-way audio: {sentence}, while {_side(call, other)} was heard"
    else:  # a test line: an echo is heard when the caller is
        sentence = _upper(sentence)
    return Verdict(sentence, _one_way_remedy(one, who), Tone.BAD, mute)


def _sides_with_media(call: CallDetail) -> set[str]:
    """Those whose media comes in from outside."""
    legs = call.media.legs if call.media is not None else ()
    return {"caller" if leg.name == "a" else "callee" for leg in legs if leg.name in ("a", call.leg)}


def _one_way_remedy(one: Mute, who: str) -> str:
    if "unknown_source" in one.why:
        return (
            f"Media of {who} comes from another address than its SDP says: correct what it announces, or list the "
            "address that it really sends from."
        )
    if "nobody listens" in one.why:
        return f"Its SDP names {one.remote} for media, and no program there takes it: look at the media ports of {who}."
    if "dropped as" in one.why:
        return f"Packets of {who} do come and cannot be used: compare its keys and payload types in the SDP below."
    return (
        f"Nothing came from {one.remote or 'its address'} to {one.local}: look whether a firewall or NAT on the way "
        f"holds UDP back, and whether the microphone of {who} is off."
    )


def _because(why: str) -> str:
    return f" ({why})" if why else ""


def _lasting(call: CallDetail, one: Mute) -> str:
    """For how long it was mute."""
    quiet = max(0.0, (call.ended_at or call.seen_at) - one.since)
    if one.always and quiet >= call.talked_s - 1:
        return f" in all {_span(quiet)} of the call"
    return f" for the last {_span(quiet)}"


# The end


def _on_its_way(call: CallDetail) -> Verdict:
    if call.state == "ringing":
        return Verdict(f"It rings at {_callee(call)}, for {_span(call.lasted_s)} now.", "", Tone.GOOD)
    tried = f"; {call.attempts[-1].label}: {call.attempts[-1].sentence}" if call.attempts else ""
    return Verdict(f"No answer yet after {_span(call.lasted_s)}{tried}.", "", Tone.FAIR)


def _ended(call: CallDetail) -> Verdict:
    """Of a call that stood."""
    after = f"after {_span(call.talked_s)}"
    saying = f", saying {' '.join(call.reason.split())[:120]}" if call.reason else ""
    match call.cause:
        case Cause.CALLER:
            return Verdict(f"{_upper(_side(call, 'caller'))} hung up {after}{saying}.", "", Tone.GOOD)
        case Cause.CALLEE:
            return Verdict(f"{_upper(_side(call, 'callee'))} hung up {after}{saying}.", "", Tone.GOOD)
        case Cause.OPERATOR:
            return Verdict(f"An operator hung up {after}.", "", Tone.FAIR)
        case Cause.SILENCE:
            remedy = "If this call was meant to be silent, raise silence-timeout of [media]."
            return Verdict(f"The box hung up {after}, since nothing was heard: {call.ending}.", remedy, Tone.BAD)
        case Cause.SESSION:
            remedy = "One end, or the network to it, went away without a BYE; its last messages stand in the ladder."
            return Verdict(f"The box hung up {after}: {call.ending}.", remedy, Tone.BAD)
        case Cause.UNHEARD:
            return Verdict(f"The box gave it up {after}: {call.ending}.", "", Tone.FAIR)
        case Cause.TRANSFER:
            return Verdict(f"The box hung up {after}, since {call.ending}.", "", Tone.BAD)
        case Cause.FORGOTTEN:
            remedy = "That end was probably started anew during the call."
            return Verdict(f"It ended {after}, since {call.ending}.", remedy, Tone.BAD)
    return Verdict(f"It ended {after}: {call.ending}.", "", Tone.FAIR)


def _failed(call: CallDetail) -> Verdict:
    """Of a call that nobody answered."""
    build = _FAILURES.get(call.cause)
    if call.cause is Cause.CREDENTIALS and call.attempts:
        build = _NOT_LET_IN
    if build is None:
        return Verdict(f"Refused with {call.status}: {call.ending}.", "", Tone.BAD)
    sentence, remedy, tone = build
    limit = _LIMIT.search(call.ending)
    last = call.attempts[-1] if call.attempts else None
    words = {
        "caller": call.caller.name or "somebody",
        "from": f" from {call.caller.address}" if call.caller.address else "",
        "called": call.called,
        "status": call.status,
        "why": _short(call.ending),
        "answer": _short(call.ending.removeprefix(f"{last.label}: " if last is not None else "")),
        "limit": f"calls or rate of [limit {limit[1]}]" if limit else "the limit that is named",
        "offered": f" (offered: {', '.join(call.offered)})" if call.offered else "",
        "after": _span(call.lasted_s),
        "where": f"while it rang at {call.callee.name}" if call.ringing_at is not None else "before anybody rang",
        "label": last.label if last is not None else call.callee.name or call.called,
        "tried": f" as the last of {len(call.attempts)} that were tried" if len(call.attempts) > 1 else "",
    }
    return Verdict(_fill(sentence, words), _fill(remedy, words), tone)


_FAILURES = {
    Cause.LIMIT: (
        "The box refused it with {status}, for a limit is reached: {why}.",
        "Wait until a call has ended, or raise {limit}; the status page shows under Capacity what is used.",
        Tone.BAD,
    ),
    Cause.NO_ROUTE: (
        "The box refused it with {status}, for no route leads {called} anywhere: {why}.",
        "Add a route that matches {called}, or correct what the phone dials; jackfield route explain tries it out.",
        Tone.BAD,
    ),
    Cause.NOT_ADMITTED: (
        "The box refused it with {status}: routes match {called}, but none of them admits {caller}.",
        "Add the caller to callers of the route that should take it.",
        Tone.BAD,
    ),
    Cause.BY_ROUTE: ("A route of the configuration answers {called} with {status}: {why}.", "", Tone.FAIR),
    Cause.FOREIGN: (
        "The box refused it with {status}, for it is meant for another host: {why}.",
        "If that host is this box, add it to domains of [appliance]; else the phone has a wrong domain.",
        Tone.BAD,
    ),
    Cause.UNREGISTERED: (
        "The box refused it with {status}: {why}.",
        "Look why the phone is not registered: its server, its password, its network.",
        Tone.BAD,
    ),
    Cause.NO_GATEWAY: (
        "The box refused it with {status}: {why}.",
        "The list of trunks on the status page says of each gateway why it is out.",
        Tone.BAD,
    ),
    Cause.CODEC: (
        "Its media could not be agreed on ({status}): {why}{offered}.",
        "Both ends need a codec in common: compare the SDP in the ladder with codecs of the trunk or user. An end that "
        "insists on SRTP wants profile = sdes there.",
        Tone.BAD,
    ),
    Cause.UNREACHABLE: (
        "It could not be delivered: {label} cannot be reached{tried} ({answer}).",
        "Look at the address, at its name in DNS, and whether somebody listens on that port.",
        Tone.BAD,
    ),
    Cause.TIMEOUT: (
        "It timed out: {label} gave no answer at all{tried}, {after} after the call came.",
        "Look whether that end runs and whether the network carries SIP both ways; add a gateway to fall back on.",
        Tone.BAD,
    ),
    Cause.UNANSWERED: ("Nobody answered within {after}: {why}.", "", Tone.FAIR),
    Cause.BUSY: ("The called side is busy: {why}.", "", Tone.FAIR),
    Cause.DECLINED: ("The called side declined: {why}.", "", Tone.FAIR),
    Cause.REFUSED: (
        "The called side refused it: {why}{tried}.",
        "The answer in the ladder may carry a Reason or Warning that says more.",
        Tone.BAD,
    ),
    Cause.CANCELLED: ("The caller gave up after {after}, {where}.", "", Tone.FAIR),
}
_WRONG_PASSWORD = (
    "The box refused it with {status}, for {caller}{from} could not prove who they are: {why}.",
    "Correct user and password in the phone, or the password of [user {caller}].",
    Tone.BAD,
)
_NOT_LET_IN = (
    "The called side wants to know who calls, and took no password: {why}{tried}.",
    "Correct username and password of the trunk, or let that end know the address of this box.",
    Tone.BAD,
)
_FAILURES[Cause.CREDENTIALS] = _WRONG_PASSWORD


def _fill(template: str, words: dict[str, object]) -> str:
    """The words are of the net and hold what they like, so they are never read as a template themselves."""
    return template.format_map(words)


def _short(ending: str) -> str:
    """A router's explanation cut to its end; the page shows every step."""
    head, found, rest = ending.partition(": ")
    if found and " called " in head:
        ending = rest
    steps = ending.split("; ")
    return ending if len(steps) < 3 else f"{len(steps) - 1} rules were looked at, {steps[-1]}"


def _side(call: CallDetail, side: str) -> str:
    name = call.caller.name if side == "caller" else _callee(call)
    return f"the {side} ({name})" if name else f"the {side}"


def _callee(call: CallDetail) -> str:
    return call.callee.name or call.called


def _address(address: tuple[str, int] | None) -> str:
    return "" if address is None else host_port(*address)


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"


def _lower(sentence: str) -> str:
    """For the middle of another sentence, where it does not begin with a name."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def _upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
