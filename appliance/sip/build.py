"""Messages made from other messages: responses (RFC 3261 §8.2.6), CANCEL (§9.1), ACK to a non-2xx (§17.1.1.3).

Lines are copied as they came and nothing is parsed, so this works on a request that failed its checks, too.
Tags and branches are made by the caller: nothing here is random.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.sip.header_lines import spelling
from appliance.sip.headers import split_commas, tag_of
from appliance.sip.message import Request, Response

REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    424: "Bad Location Information",
    425: "Bad Alert Message",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    555: "Push Notification Service Not Supported",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}

_COPIED = frozenset({"via", "from", "to", "call-id", "cseq"})
_COPIED_TRYING = _COPIED | {"timestamp"}
_COPIED_DIALOG = _COPIED | {"record-route"}
_DIALOG_FORMING = frozenset({"INVITE", "SUBSCRIBE", "REFER"})

_MAX_FORWARDS = "Max-Forwards: 70"


def reason_of(status: int) -> str:
    """The customary reason phrase; that of the class (x00) for a status nobody registered."""
    return REASONS.get(status) or REASONS.get(status // 100 * 100, "Unknown")


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str | None = None,
) -> Response:
    """An answer to `request` (RFC 3261 §8.2.6.2).

    Via, From, To, Call-ID and CSeq are copied, Timestamp into a 100, Record-Route into what can form a dialog
    (§12.1.1). `to_tag` is added where To has no tag yet. `headers` are further (canonical key, value) pairs.
    """
    if status == 100:
        copied = _COPIED_TRYING
    elif status < 300 and request.method in _DIALOG_FORMING:
        copied = _COPIED_DIALOG
    else:
        copied = _COPIED
    keys: list[str] = []
    lines: list[str] = []
    for key, line in zip(request.keys, request.lines, strict=True):
        if key in copied:
            if key == "to" and to_tag and ("tag" not in line.lower() or tag_of(line) is None):
                line = f"{line};tag={to_tag}"
            keys.append(key)
            lines.append(line)
    for key, value in headers:
        keys.append(key)
        lines.append(f"{spelling(key)}: {value}")
    if content_type is not None:
        keys.append("content-type")
        lines.append(f"Content-Type: {content_type}")
    response = Response(status, reason or reason_of(status), keys, lines, body)
    response.veil = request.veil
    return response


def cancel_of(request: Request) -> Request:
    """The CANCEL of a request that we sent (RFC 3261 §9.1): its Request-URI, top Via, Route, From, To and Call-ID."""
    return _same_branch(request, "CANCEL", None)


def ack_of(request: Request, response: Response) -> Request:
    """The ACK that a client transaction sends for a non-2xx final response to its INVITE (RFC 3261 §17.1.1.3)."""
    return _same_branch(request, "ACK", response)


def _same_branch(request: Request, method: str, response: Response | None) -> Request:
    keys: list[str] = []
    lines: list[str] = []
    for key, line in zip(request.keys, request.lines, strict=True):
        if key == "via":
            if "via" in keys:
                continue
            if "," in line:
                line = f"Via: {split_commas(line.partition(':')[2])[0]}"
        elif key == "to":
            if response is not None:
                line = response.line("to") or line
        elif key == "cseq":
            line = f"CSeq: {request.cseq.number} {method}"
        elif key == "max-forwards":
            line = _MAX_FORWARDS
        elif key not in ("route", "from", "call-id"):
            continue
        keys.append(key)
        lines.append(line)
    if "max-forwards" not in keys:
        keys.append("max-forwards")
        lines.append(_MAX_FORWARDS)
    made = Request(method, request.uri, keys, lines)
    made.veil = request.veil
    return made
