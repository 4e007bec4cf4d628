"""The four transaction machines of RFC 3261 §17, as data.

A transaction is one request and all responses to it, on one hop. It hides loss and repetition from its user: over UDP
it sends again until the other side has answered, and it recognises what has come before. There are four machines,
because INVITE is answered by people and everything else by programs, and because each has two ends.

*INVITE client* (§17.1.1). CALLING repeats the request, ever slower (timer A), until a provisional answer proves that it
has arrived; from then on nothing is repeated and nothing limits the wait: ringing may take minutes, and Timer C is the
proxy's. A failure is acknowledged here, hop by hop; COMPLETED acknowledges its repetitions (timer D). A 2xx is
acknowledged end to end by somebody else, so ACCEPTED (RFC 6026) only waits (timer M) and hands every further 2xx on:
a fork can answer more than once.

*Other client* (§17.1.2). TRYING and PROCEEDING both repeat (timer E), since a provisional answer promises nothing here,
and give up with timer F. COMPLETED swallows repeated answers (timer K).

*INVITE server* (§17.2.1). PROCEEDING answers a repeated INVITE with what was said last, and says 100 by itself when the
user has said nothing for 200 ms. A failure is repeated (timer G) until its ACK comes or timer H ends the wait;
CONFIRMED swallows further ACKs (timer I). After a 2xx, ACCEPTED (RFC 6026) swallows INVITEs and lets ACKs and the
user's 2xx pass (timer L). A transport that fails changes no state (RFC 6026 §7.1): an INVITE that comes again must be
known again.

*Other server* (§17.2.2). As few words as can be (RFC 4320): 100 only once the client has slowed down to T2, no other
provisional answer, and never a 408, which could only arrive too late. COMPLETED repeats the answer (timer J). What RFC
6026 found for INVITE is true here as well: a transaction forgotten because a send failed would serve the request twice.

Timers of COMPLETED and CONFIRMED are zero over reliable transports, apart from H; L and M never are.

The classes of `client_transaction` and `server_transaction` are these tables written out by hand, for speed;
`tests/sip/test_machines.py` walks every row, and every event that has no row, and holds them to it.
"""

from __future__ import annotations

from enum import Enum

import attrs


class State(Enum):
    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"

    # Members are compared by identity only; the default hash of Enum runs Python code.
    __hash__ = object.__hash__


class Machine(Enum):
    INVITE_CLIENT = "INVITE client"
    OTHER_CLIENT = "other client"
    INVITE_SERVER = "INVITE server"
    OTHER_SERVER = "other server"


class Event(Enum):
    REQUEST = "request"  # the same request again
    ACK = "ACK"
    SAY_1XX = "user: 1xx"
    SAY_2XX = "user: 2xx"
    SAY_FAILURE = "user: 300-699"
    HEAR_1XX = "1xx"
    HEAR_2XX = "2xx"
    HEAR_FAILURE = "300-699"
    SEND_FAILED = "transport error"
    CANCEL = "user: cancel"
    TIMER_100 = "timer 100"  # 200 ms for INVITE, the time until Timer E reaches T2 for others (RFC 4320 §4.1)
    TIMER_A = "timer A"
    TIMER_B = "timer B"
    TIMER_CANCEL = "timer cancel"  # §9.1: 64*T1 after the CANCEL without a final answer
    TIMER_D = "timer D"
    TIMER_E = "timer E"
    TIMER_F = "timer F"
    TIMER_G = "timer G"
    TIMER_H = "timer H"
    TIMER_I = "timer I"
    TIMER_J = "timer J"
    TIMER_K = "timer K"
    TIMER_L = "timer L"
    TIMER_M = "timer M"
    TIMER_SILENT = "timer silent"  # RFC 4320 §4.2: 64*T1 without a final answer; nothing may be sent any more


class Effect(Enum):
    SEND_REQUEST = "send the request again"
    SEND_ACK = "send ACK"
    SEND_CANCEL = "send CANCEL"
    SEND_100 = "send 100"
    SEND = "send it"
    SEND_LAST = "send the last response again"
    PASS_RESPONSE = "on_response"  # noqa: S105 (not a password)
    PASS_ACK = "on_ack"  # noqa: S105
    REPORT_TIMEOUT = "on_failure: timeout"
    REPORT_TRANSPORT = "on_failure: transport"
    REPORT_SEND_FAILED = "on_transport_error"


@attrs.frozen
class Row:
    """In `state`, `event` leads to `target`, with `effects` on the way.

    Where `target` lasts no time (see `Wait.reliable`), what follows is TERMINATED.
    """

    state: State
    event: Event
    target: State
    effects: tuple[Effect, ...] = ()


@attrs.frozen
class Wait:
    """While in `state`, `event` comes `after` a time.

    Over a `reliable` transport it is the "same", "0" (the state lasts no time) or "never".
    """

    state: State
    event: Event
    after: str
    reliable: str


def _rows(text: str) -> tuple[Row, ...]:
    """'state  event  target  effect effect' a line, by the names of the members."""
    rows = []
    for line in text.strip().splitlines():
        state, event, target, *effects = line.split()
        rows.append(Row(State[state], Event[event], State[target], tuple(Effect[name] for name in effects)))
    return tuple(rows)


def _waits(text: str) -> tuple[Wait, ...]:
    waits = []
    for line in text.strip().splitlines():
        state, event, after, reliable = line.split()
        waits.append(Wait(State[state], Event[event], after, reliable))
    return tuple(waits)


#: What is not in the table changes nothing and sends nothing.
TABLE: dict[Machine, tuple[Row, ...]] = {
    # RFC 3261 figure 5, as replaced by RFC 6026 §7.2 and figure 5 there
    Machine.INVITE_CLIENT: _rows(
        """
        CALLING     TIMER_A       CALLING     SEND_REQUEST
        CALLING     TIMER_B       TERMINATED  REPORT_TIMEOUT
        CALLING     SEND_FAILED   TERMINATED  REPORT_TRANSPORT
        CALLING     CANCEL        CALLING
        CALLING     HEAR_1XX      PROCEEDING  PASS_RESPONSE
        CALLING     HEAR_2XX      ACCEPTED    PASS_RESPONSE
        CALLING     HEAR_FAILURE  COMPLETED   SEND_ACK PASS_RESPONSE
        PROCEEDING  HEAR_1XX      PROCEEDING  PASS_RESPONSE
        PROCEEDING  HEAR_2XX      ACCEPTED    PASS_RESPONSE
        PROCEEDING  HEAR_FAILURE  COMPLETED   SEND_ACK PASS_RESPONSE
        PROCEEDING  CANCEL        PROCEEDING  SEND_CANCEL
        PROCEEDING  TIMER_CANCEL  TERMINATED  REPORT_TIMEOUT
        PROCEEDING  SEND_FAILED   TERMINATED  REPORT_TRANSPORT
        COMPLETED   HEAR_FAILURE  COMPLETED   SEND_ACK
        COMPLETED   SEND_FAILED   TERMINATED
        COMPLETED   TIMER_D       TERMINATED
        ACCEPTED    HEAR_2XX      ACCEPTED    PASS_RESPONSE
        ACCEPTED    TIMER_M       TERMINATED
        """
    ),
    # RFC 3261 figure 6
    Machine.OTHER_CLIENT: _rows(
        """
        TRYING      TIMER_E       TRYING      SEND_REQUEST
        TRYING      TIMER_F       TERMINATED  REPORT_TIMEOUT
        TRYING      SEND_FAILED   TERMINATED  REPORT_TRANSPORT
        TRYING      HEAR_1XX      PROCEEDING  PASS_RESPONSE
        TRYING      HEAR_2XX      COMPLETED   PASS_RESPONSE
        TRYING      HEAR_FAILURE  COMPLETED   PASS_RESPONSE
        PROCEEDING  TIMER_E       PROCEEDING  SEND_REQUEST
        PROCEEDING  TIMER_F       TERMINATED  REPORT_TIMEOUT
        PROCEEDING  SEND_FAILED   TERMINATED  REPORT_TRANSPORT
        PROCEEDING  HEAR_1XX      PROCEEDING  PASS_RESPONSE
        PROCEEDING  HEAR_2XX      COMPLETED   PASS_RESPONSE
        PROCEEDING  HEAR_FAILURE  COMPLETED   PASS_RESPONSE
        COMPLETED   TIMER_K       TERMINATED
        """
    ),
    # RFC 3261 figure 7, as replaced by RFC 6026 §7.1
    Machine.INVITE_SERVER: _rows(
        """
        PROCEEDING  TIMER_100     PROCEEDING  SEND_100
        PROCEEDING  REQUEST       PROCEEDING  SEND_LAST
        PROCEEDING  SAY_1XX       PROCEEDING  SEND
        PROCEEDING  SAY_2XX       ACCEPTED    SEND
        PROCEEDING  SAY_FAILURE   COMPLETED   SEND
        PROCEEDING  SEND_FAILED   PROCEEDING  REPORT_SEND_FAILED
        ACCEPTED    SAY_2XX       ACCEPTED    SEND
        ACCEPTED    ACK           ACCEPTED    PASS_ACK
        ACCEPTED    SEND_FAILED   ACCEPTED    REPORT_SEND_FAILED
        ACCEPTED    TIMER_L       TERMINATED
        COMPLETED   REQUEST       COMPLETED   SEND_LAST
        COMPLETED   TIMER_G       COMPLETED   SEND_LAST
        COMPLETED   ACK           CONFIRMED
        COMPLETED   SEND_FAILED   COMPLETED   REPORT_SEND_FAILED
        COMPLETED   TIMER_H       TERMINATED
        CONFIRMED   TIMER_I       TERMINATED
        """
    ),
    # RFC 3261 figure 8, with RFC 4320, but a transport error ends nothing here either
    Machine.OTHER_SERVER: _rows(
        """
        TRYING      TIMER_100     PROCEEDING  SEND_100
        TRYING      SAY_2XX       COMPLETED   SEND
        TRYING      SAY_FAILURE   COMPLETED   SEND
        PROCEEDING  REQUEST       PROCEEDING  SEND_LAST
        PROCEEDING  SAY_2XX       COMPLETED   SEND
        PROCEEDING  SAY_FAILURE   COMPLETED   SEND
        PROCEEDING  SEND_FAILED   PROCEEDING  REPORT_SEND_FAILED
        PROCEEDING  TIMER_SILENT  TERMINATED
        COMPLETED   REQUEST       COMPLETED   SEND_LAST
        COMPLETED   SEND_FAILED   COMPLETED   REPORT_SEND_FAILED
        COMPLETED   TIMER_J       TERMINATED
        """
    ),
}

#: How long each timer runs from entering its state (F and SILENT: from the start); A, E and G then double, E and G up
#: to T2. `late` is the time until Timer E of the other side stands at T2: 3.5 s. `after` is 64*T1 or what
#: `TransactionOptions.linger_s` makes of it.
WAITS: dict[Machine, tuple[Wait, ...]] = {
    Machine.INVITE_CLIENT: _waits(
        """
        CALLING     TIMER_A       T1     never
        CALLING     TIMER_B       64*T1  same
        PROCEEDING  TIMER_CANCEL  64*T1  same
        COMPLETED   TIMER_D       after  0
        ACCEPTED    TIMER_M       after  same
        """
    ),
    Machine.OTHER_CLIENT: _waits(
        """
        TRYING      TIMER_E       T1     never
        TRYING      TIMER_F       64*T1  same
        PROCEEDING  TIMER_E       T2     never
        PROCEEDING  TIMER_F       64*T1  same
        COMPLETED   TIMER_K       T4     0
        """
    ),
    Machine.INVITE_SERVER: _waits(
        """
        PROCEEDING  TIMER_100     200ms  same
        ACCEPTED    TIMER_L       after  same
        COMPLETED   TIMER_G       T1     never
        COMPLETED   TIMER_H       64*T1  same
        CONFIRMED   TIMER_I       T4     0
        """
    ),
    Machine.OTHER_SERVER: _waits(
        """
        TRYING      TIMER_100     late   same
        PROCEEDING  TIMER_SILENT  64*T1  same
        COMPLETED   TIMER_J       after  0
        """
    ),
}


def diagram(machine: Machine) -> str:
    """The machine as a Mermaid state diagram, for the manual."""
    first = TABLE[machine][0].state
    out = ["stateDiagram-v2", f"  [*] --> {first.value}"]
    for row in TABLE[machine]:
        effects = ", ".join(effect.value for effect in row.effects)
        target = "[*]" if row.target is State.TERMINATED else row.target.value
        label = f"{row.event.value} / {effects}" if effects else row.event.value
        out.append(f"  {row.state.value} --> {target} : {label.replace(':', ' ')}")
    return "\n".join(out) + "\n"
