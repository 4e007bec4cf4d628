"""What is measured, server by server: a fresh one for every round, its load, and the cost in CPU microseconds."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from tests.bench.generators import generate, on_server_core
from tests.bench.rivals import Kamailio, Rtpengine
from tests.bench.routes import prefixes, table
from tests.bench.sessions import SipSessions, through_rtpengine, write_sessions
from tests.peers.appliance import Appliance
from tests.peers.ports import free_port

FIRST_USER = 1000
USERS = 500
NUMBER = "9000"
PASSWORD = "load"


@attrs.frozen
class Load:
    """Offered load of one round: attempts a second for SIP, calls standing at once for media."""

    per_second: int
    calls: int
    seconds: float


@attrs.frozen
class Outcome:
    """Figures of one round: CPU microseconds per unit, by the unit's name; void says why it does not count."""

    costs: Mapping[str, float]
    server_load: float
    generator_load: float
    p99_ms: float
    void: str = ""


@attrs.frozen
class Server:
    """A server by name and what it can be measured at."""

    name: str
    program: str
    runs: Mapping[str, Callable[[Path, Load], Outcome]]

    @property
    def installed(self) -> bool:
        return not self.program or shutil.which(self.program) is not None


def _sip(pids: list[int], port: int, answer: int, load: Load, options: Mapping[str, object]) -> Outcome:
    report = generate(
        "sipload",
        pids,
        {"t": port, "r": load.per_second, "d": load.seconds, "c": free_port(), "s": answer, **options},
    )
    cpu_us = report["server_cpu_s"] * 1e6
    completed, messages = max(report["completed"], 1), max(report["messages_in"], 1)
    unit = "call" if options["m"] == "call" else "registration"
    void = ""
    if report["lost"] or report["unexpected"]:
        void = f"{report['lost']:.0f} lost, {report['unexpected']:.0f} unexpected answers"
    elif report["per_second"] < 0.98 * load.per_second:
        void = f"only {report['per_second']:.0f} a second"
    return Outcome(
        {unit: cpu_us / completed, "message": cpu_us / messages},
        report["server_load"],
        report["generator_load"],
        report["p99_ms"],
        void,
    )


def _rtp(pids: list[int], calls: Path, port_a: int, port_b: int, load: Load) -> Outcome:
    report = generate("rtpload", pids, {"f": calls, "a": port_a, "b": port_b, "d": load.seconds})
    void = ""
    if report["lost"] > report["offered"] * 0.001 or report["damaged"] or not report["checked"]:
        void = (
            f"{report['lost']:.0f} of {report['offered']:.0f} lost, {report['damaged']:.0f} damaged, "
            f"{report['checked']:.0f} checked"
        )
    return Outcome(
        {"packet": report["server_cpu_s"] * 1e6 / max(report["relayed"], 1)},
        report["server_load"],
        report["generator_load"],
        report["p99_ms"],
        void,
    )


# ---- Kamailio and rtpengine ----


def _kamailio(
    options: Mapping[str, object], *, stateless: bool = False, numbers: bool = False
) -> Callable[[Path, Load], Outcome]:
    def run(directory: Path, load: Load) -> Outcome:
        answer = free_port()
        more = [NUMBER, *prefixes(random.Random(3261))] if numbers else []
        digest = "a" in options
        with Kamailio(directory, answer, PASSWORD, digest, stateless=stateless, numbers=more) as server:
            return _sip(server.pids, server.port, answer, load, options)

    return run


def _rtpengine(protect: bool) -> Callable[[Path, Load], Outcome]:
    def run(directory: Path, load: Load) -> Outcome:
        port_a, port_b = free_port(), free_port()
        with Rtpengine(directory, ports=4 * load.calls + 100) as engine:
            calls = directory / "calls"
            write_sessions(calls, through_rtpengine(engine, load.calls, port_a, port_b, protect))
            return _rtp(engine.pids, calls, port_a, port_b, load)

    return run


# ---- Jackfield ----


def jackfield(
    directory: Path,
    answer: int,
    anchor: str,
    media_ports: int,
    users: bool,
    guards: Mapping[str, object] | None = None,
    numbers: bool = False,
    stateless: bool = False,
    told: bool = False,
) -> Appliance:
    """One on core 0 whose trunk `load` calls in from loopback and out to the port `answer`.

    `numbers`: the way there stands in a table of 100,000 others. `told`: trace and records are kept as shipped; else
    neither, like the peers that it is measured beside.
    """
    leads = f"exact:{NUMBER}", "trunk:load"
    if numbers:
        text, _ = table(random.Random(3261))
        (directory / "conf.d").mkdir(parents=True, exist_ok=True)
        (directory / "conf.d" / "numbers.dn").write_text(f"{text}{NUMBER} trunk:load\n")
        leads = "any", "numbers:dn"
    return Appliance(
        directory,
        users=[str(FIRST_USER + n) for n in range(USERS)] if users else (),
        addresses=("127.0.0.1",),
        media_ports=media_ports,
        prefix=on_server_core(),
        sections={
            "media": {"anchor": anchor},
            "sip": {"inbox": 10000},
            "guards": {"shed": "yes", **(guards or {})},
            **({} if told else {"trace": {"enabled": "no"}, "records": {"enabled": "no"}}),
            "appliance": {"log_level": "warning", "drain_deadline": "0 s"},
            "trunk load": {
                "gateways": f"127.0.0.1:{answer};transport=udp",
                "trusted": "127.0.0.1",
                "anchor": anchor,
            },
            **({"listener udp": {"stateless": "yes"}} if stateless else {}),
            "route 10-load": {"match": leads[0], "target": leads[1], "callers": "trunk:load"},
            **({"numbers dn": {"file": "numbers.dn"}} if numbers else {}),
            **({f"user {FIRST_USER + n}": {"password": PASSWORD} for n in range(USERS)} if users else {}),
        },
    )


def _jackfield_sip(
    options: Mapping[str, object], *, numbers: bool = False, stateless: bool = False, told: bool = False
) -> Callable[[Path, Load], Outcome]:
    def run(directory: Path, load: Load) -> Outcome:
        answer = free_port()
        users = options["m"] == "register"
        more = {"numbers": numbers, "stateless": stateless, "told": told}
        with jackfield(directory, answer, "never", 40, users, **more) as server:
            return _sip(server.program.family, server.ports["udp"], answer, load, options)

    return run


def _jackfield_rtp(protect: bool) -> Callable[[Path, Load], Outcome]:
    def run(directory: Path, load: Load) -> Outcome:
        answer, port_a, port_b = free_port(), free_port(), free_port()
        transport = "tls" if protect else "tcp"
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(jackfield(directory, answer, "always", 4 * load.calls + 100, users=False))
            sessions = stack.enter_context(
                SipSessions(("127.0.0.1", server.ports[transport]), transport, answer, NUMBER)
            )
            calls = directory / "calls"
            write_sessions(calls, sessions.call(load.calls, port_a, port_b, protect))
            return _rtp(server.program.family, calls, port_a, port_b, load)

    return run


CALL: Mapping[str, object] = {"m": "call", "n": NUMBER}
REGISTER: Mapping[str, object] = {"m": "register", "u": FIRST_USER, "U": USERS}
DIGEST: Mapping[str, object] = {**REGISTER, "a": PASSWORD}

JACKFIELD = Server(
    "Jackfield",
    "",
    {
        "call": _jackfield_sip(CALL),
        "call-told": _jackfield_sip(CALL, told=True),
        "call-dn": _jackfield_sip(CALL, numbers=True),
        "stateless": _jackfield_sip(CALL, stateless=True),
        "register": _jackfield_sip(DIGEST),
        "rtp": _jackfield_rtp(protect=False),
        "srtp": _jackfield_rtp(protect=True),
    },
)
KAMAILIO = Server(
    "Kamailio",
    "kamailio",
    {
        "call": _kamailio(CALL),
        "call-dn": _kamailio(CALL, numbers=True),
        "stateless": _kamailio(CALL, stateless=True),
        "register": _kamailio(DIGEST),
        "register-open": _kamailio(REGISTER),
    },
)
RTPENGINE = Server("rtpengine", "rtpengine", {"rtp": _rtpengine(False), "srtp": _rtpengine(True)})
SERVERS = (JACKFIELD, KAMAILIO, RTPENGINE)
