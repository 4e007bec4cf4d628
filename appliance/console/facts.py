"""What the first screen tells: asked of the running box, of boxd and of files, each for itself."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ..box.asking import ask_box
from ..box.firstboot import REFUSED, SAID
from ..box.machine import Machine, NotOurImage, Refused
from ..box.setup_code import code_of
from ..config import Settings
from ..config.loader import load_settings
from ..config.mistakes import ConfigRejected
from ..control.asking import NothingRuns, ask

DEADLINE_S: Final = 3.0


@attrs.frozen
class Card:
    name: str
    state: str
    mac: str
    addresses: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Facts:
    """Of one moment. `faults` are sentences; `fingerprint` is SHA-256 in hex, "" where there is no certificate yet."""

    name: str
    version: str
    utc: str
    synchronised: bool | None
    state: str
    up_s: float = 0.0
    calls: int = 0
    phones: int = 0
    faults: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    cards_told: bool = True
    """boxd has said which there are; on a small machine it may come up after the console."""
    confirm_within_s: int | None = None
    https_port: int = 8443
    fingerprint: str = ""
    code: str = ""


def gather(machine: Machine, conf_dir: Path, state_dir: Path) -> Facts:
    """Takes a few seconds at most; what cannot be found out is told as a fault."""
    faults: list[str] = []
    status = _asked(state_dir, faults)
    network, clock = _boxd(machine, "network-show", faults), _boxd(machine, "time", faults)
    settings = settings_of(conf_dir, faults)
    faults += _refused_at_first_boot(machine)
    degraded = status.get("degraded")
    faults += [str(one) for one in degraded] if isinstance(degraded, list) else []
    part = status.get("telephony")
    figures = part if isinstance(part, dict) else {}
    within = network.get("confirm_within_s")
    return Facts(
        name=settings.appliance.name,
        version=machine.version or "",
        utc=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        synchronised=bool(clock["synchronised"]) if "synchronised" in clock else None,
        state=str(status.get("state", "does not run")),
        up_s=float(status.get("up_s") or 0),
        calls=int(figures.get("calls") or 0),
        phones=int(figures.get("registrations") or 0),
        faults=tuple(faults),
        cards=tuple(_cards(network.get("cards"))),
        cards_told="cards" in network,
        confirm_within_s=within if isinstance(within, int) else None,
        https_port=settings.web.https_port,
        fingerprint=_fingerprint(settings.web.certificate or state_dir / "certificate.pem"),
        code=code_of(state_dir),
    )


def settings_of(conf_dir: Path, faults: list[str]) -> Settings:
    """Those of the files, or defaults where they have mistakes."""
    try:
        return load_settings(conf_dir)
    except ConfigRejected as rejected:
        more = len(rejected.mistakes) - 1
        faults.append(str(rejected.mistakes[0]) + (f" And {more} more." if more else ""))
        return Settings()


def _asked(state_dir: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return ask(state_dir, "status", deadline_s=DEADLINE_S)
    except NothingRuns as nothing:
        faults.append(str(nothing))
        return {}


def _refused_at_first_boot(machine: Machine) -> list[str]:
    try:
        said = (machine.root / SAID).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in said.splitlines() if REFUSED in line]


def _boxd(machine: Machine, verb: str, faults: list[str]) -> dict[str, Any]:
    try:
        return ask_box(verb, machine=machine, deadline_s=DEADLINE_S)
    except (NotOurImage, Refused) as refused:
        if str(refused) not in faults:
            faults.append(str(refused))
        return {}


def _cards(said: Any) -> list[Card]:
    try:
        return [Card(one["name"], one["state"], one["mac"], tuple(one["addresses"])) for one in said or ()]
    except (TypeError, KeyError):
        return []


def _fingerprint(file: Path) -> str:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
