"""What the pages ask of files and of the machine: what `check` says of the configuration and what a reload would
change, certificates, and the doctor's findings. All of it in threads."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import trio
from cryptography import x509

from ..config import Settings
from ..config.certificate_places import CertificatePlace, certificate_places
from ..config.difference import difference
from ..config.loader import load_settings
from ..config.mistakes import ConfigRejected, Mistake
from ..doctor.certificates import judged
from ..doctor.examination import Status, examine
from ..doctor.finding import Grade
from ..identity import Identity
from ..selftest.certificate import names_of
from ..web.inside import CertificateLook, ConfigurationLook, DoctorFinding

_TONES: Final = {Grade.FAULT: "bad", Grade.WARNING: "fair", Grade.NOTE: "", Grade.OK: "good"}
_WORST_FIRST: Final = tuple(_TONES)


class Running(Protocol):
    """What runs, as far as it is compared."""

    @property
    def conf_dir(self) -> Path: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def identity(self) -> Identity: ...


async def look_at_files(running: Callable[[], Running]) -> ConfigurationLook:
    """Read and verify the files in a thread; nothing is taken up."""
    now = running()
    doubts: list[Mistake] = []
    try:
        settings = await trio.to_thread.run_sync(load_settings, now.conf_dir, doubts)
    except ConfigRejected as rejected:
        return ConfigurationLook(tuple(map(str, rejected.mistakes)), (), ())
    changes = difference(now.settings, settings.with_passwords(now.identity.passwords))
    return ConfigurationLook((), tuple(map(str, doubts)), tuple(map(str, changes)))


async def look_at_certificates(settings: Settings, identity: Identity) -> tuple[CertificateLook, ...]:
    """Every certificate of ours once, whatever shows it, the first to run out before the others. Reads in a thread."""
    return await trio.to_thread.run_sync(
        certificates_of, settings, identity.certificate, identity.private_key, datetime.datetime.now(datetime.UTC)
    )


def certificates_of(
    settings: Settings, certificate: Path, private_key: Path, now: datetime.datetime
) -> tuple[CertificateLook, ...]:
    """The same; the two files are those made at the first start."""
    places: dict[Path, list[CertificatePlace]] = {}
    for place in certificate_places(settings, certificate, private_key):
        places.setdefault(place.certificate, []).append(place)
    looks = [_look(file, served, settings, now) for file, served in places.items()]
    return tuple(sorted(looks, key=lambda one: one.ends_at or 0.0))


async def look_with_the_doctor(
    conf_dir: Path, state_dir: Path, status: Status, turn: trio.CapacityLimiter
) -> tuple[DoctorFinding, ...]:
    """Everything that the doctor finds; it takes some seconds in a thread, and goes on there where nobody waits."""
    findings = await trio.to_thread.run_sync(
        lambda: list(examine(conf_dir, state_dir, status)), abandon_on_cancel=True, limiter=turn
    )
    return tuple(DoctorFinding(one.subject, one.about, one.grade.value, one.sentence, one.remedy) for one in findings)


def _look(file: Path, places: list[CertificatePlace], settings: Settings, now: datetime.datetime) -> CertificateLook:
    worst = min((judged(place, settings, now) for place in places), key=lambda one: _WORST_FIRST.index(one.grade))
    names: tuple[str, ...] = ()
    issuer, ends_at = "", None
    try:
        chain = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        pass  # the finding says it
    else:
        leaf = chain[0]
        names = names_of(leaf) or (leaf.subject.rfc4514_string(),)
        issuer = "" if leaf.issuer == leaf.subject else leaf.issuer.rfc4514_string()
        ends_at = min(one.not_valid_after_utc.timestamp() for one in chain)
    return CertificateLook(
        names=names,
        file=str(file),
        serves=tuple(place.section for place in places),
        issuer=issuer,
        ends_at=ends_at,
        tone=_TONES[worst.grade],
        sentence=worst.sentence,
        remedy=worst.remedy,
    )
