"""Who sends on a stream: directions, their reversal, and what an answer may say to an offer (RFC 3264 §6.1, §8.4)."""

_FLAGS = {"sendrecv": (True, True), "sendonly": (True, False), "recvonly": (False, True), "inactive": (False, False)}
_NAMES = {flags: name for name, flags in _FLAGS.items()}


def sends(direction: str) -> bool:
    return _FLAGS[direction][0]


def receives(direction: str) -> bool:
    return _FLAGS[direction][1]


def reversed_direction(direction: str) -> str:
    """The same stream seen from the other end."""
    send, receive = _FLAGS[direction]
    return _NAMES[receive, send]


def both(one: str, other: str) -> str:
    """What two statements about one end have in common."""
    return _NAMES[sends(one) and sends(other), receives(one) and receives(other)]


def held(direction: str) -> str:
    """What a direction with c=0.0.0.0 amounts to: this end takes nothing (RFC 3264 §8.4, the older hold)."""
    return both(direction, "sendonly")
