"""Watch: hears what the endpoints of one call report and decides when the call is dead, with the sentence why.

A call is dead when every stream on which both sides should talk has been silent for the backend's silence limit,
or when all of one leg's have and its ICE consent is gone too. A call on hold is never dead: nobody need speak.
"""

from collections.abc import Callable, Iterable

from attrs import define, field

from appliance.media.backend import EventKind, MediaEvent

Stream = tuple[str, int, str]
"""(leg, m-line, media kind)."""


@define(eq=False)
class Watch:
    on_dead: Callable[[str], None]
    talking: Callable[[], Iterable[Stream]]
    """The joined streams that both send and receive now."""
    silent: dict[tuple[str, int], MediaEvent] = field(factory=dict)
    lost: dict[str, MediaEvent] = field(factory=dict)
    _dead: bool = False

    def hear(self, leg: str, event: MediaEvent) -> None:
        if event.index is not None:
            if event.kind is EventKind.SILENT:
                self.silent[leg, event.index] = event
            elif event.kind in (EventKind.HEARD_AGAIN, EventKind.MEDIA_STARTED):
                self.silent.pop((leg, event.index), None)
        if event.kind is EventKind.ICE_LOST:
            self.lost[leg] = event
        elif event.kind is EventKind.ICE_CONNECTED:
            self.lost.pop(leg, None)
        if event.kind in (EventKind.SILENT, EventKind.ICE_LOST):
            self._judge()

    def excuse(self, leg: str, expected: set[int]) -> None:
        """Streams outside of `expected` need not be heard: their silence until now counts no longer."""
        for key in [key for key in self.silent if key[0] == leg and key[1] not in expected]:
            del self.silent[key]

    def forget(self, leg: str) -> None:
        self.lost.pop(leg, None)
        for key in [key for key in self.silent if key[0] == leg]:
            del self.silent[key]

    def end(self) -> None:
        """The call is over: let go of those who asked, who hold us in turn."""
        self._dead = True
        self.on_dead = _nobody
        self.talking = tuple

    def _judge(self) -> None:
        if self._dead:
            return
        streams = list(self.talking())
        mute = [stream for stream in streams if (stream[0], stream[1]) in self.silent]
        gone = {leg for leg, _, _ in mute if leg in self.lost}
        gone -= {leg for leg, index, _ in streams if (leg, index) not in self.silent}
        if not mute or (len(mute) < len(streams) and not gone):
            return
        self._dead = True
        told = [stream for stream in mute if not gone or stream[0] in gone]
        parts = [f"{_side(leg)}: {self.silent[leg, index].sentence}" for leg, index, _ in dict.fromkeys(told)]
        parts += [f"{_side(leg)}: {self.lost[leg].sentence}" for leg in sorted(gone)]
        self.on_dead("; ".join(parts))


def _side(leg: str) -> str:
    return "the caller" if leg == "a" else "the callee"


def _nobody(sentence: str) -> None:
    """Nobody is left to be told."""
