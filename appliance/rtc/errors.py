"""What rtc raises when a peer's bytes are wrong. Everything else that rises from this room is our bug."""


class BadMedia(Exception):  # noqa: N818 - named after sip's BadMessage
    """The peer's packet or parameter is unusable. `cause` is a short name to count by, the text is for
    people. `status` is what SIP answers where it was an SDP: 400 if it cannot be read, 488 if it can and
    the media cannot be carried."""

    def __init__(self, cause: str, text: str = "", status: int = 488) -> None:
        super().__init__(text or cause)
        self.cause = cause
        self.status = status
