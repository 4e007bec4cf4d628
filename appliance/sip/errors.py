"""The two errors of the SIP room: `BadMessage` says that the peer is wrong, `Rejected` that we decided against.

Everything else that is raised is a bug of ours and may rise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.sip.message import Request


class BadMessage(Exception):  # noqa: N818 (a noun of the protocol, not of Python)
    """The peer sent something that no grammar allows.

    `reason` goes on the wire as the reason phrase where an answer is possible, so it names the header at fault;
    `status` is the response code that fits (RFC 3261 §21.4). `request` is set where a request could be read far
    enough to be answered: its readable lines, nothing else.
    """

    def __init__(self, reason: str, status: int = 400, request: Request | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.request = request


class Rejected(Exception):  # noqa: N818
    """We refuse: `status` and `reason` go on the wire, `cause` to the log and the call's page.

    `headers` are further header lines of the answer, as (name, value) pairs, e.g. Retry-After. `kind` names the kind of
    limit that refused, '' for none, and `why` the kind of cause where whoever refuses knows one (`router.causes`).
    """

    def __init__(
        self,
        status: int,
        reason: str,
        cause: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        kind: str = "",
        why: str = "",
    ) -> None:
        super().__init__(f"{status} {reason}" + (f" ({cause})" if cause else ""))
        self.status = status
        self.reason = reason
        self.cause = cause or reason
        self.headers = headers
        self.kind = kind
        self.why = why
