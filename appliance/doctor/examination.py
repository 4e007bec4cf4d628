"""The whole examination: configuration first, then the running box, the machine and the network."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from appliance.config import Settings
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected, Mistake

from .certificates import examine_certificates
from .finding import Finding, Grade
from .firewall import examine_firewall
from .machine import examine_machine
from .network import examine_network

Status = Callable[[], Mapping[str, Any] | str]
"""What the running box says of itself, or why none does."""


def examine(conf_dir: Path, state_dir: Path, status_of_box: Status) -> Iterator[Finding]:
    """Everything that was found, also what is well. Where the configuration is refused, its defaults are looked at."""
    settings = Settings()
    doubts: list[Mistake] = []
    try:
        settings = load_settings(conf_dir, doubts)
    except ConfigRejected as rejected:
        for mistake in rejected.mistakes:
            yield _mistaken(mistake, Grade.FAULT)
    else:
        if not doubts:
            yield Finding("conf.d", str(conf_dir), Grade.OK, "is well")
    for doubt in doubts:
        yield _mistaken(doubt, Grade.WARNING)
    pid: int | None = None
    status = status_of_box()
    if isinstance(status, str):
        yield Finding("box", str(state_dir), Grade.NOTE, status)
    else:
        process = status.get("process")
        pid = process if isinstance(process, int) else None
        yield from box_findings(status)
    yield from examine_certificates(settings, state_dir, datetime.datetime.now(datetime.UTC))
    yield from examine_machine(settings, state_dir)
    yield from examine_firewall(settings)
    yield from examine_network(settings, pid)


def box_findings(status: Mapping[str, Any]) -> Iterator[Finding]:
    """What the running box says of itself."""
    faults = [str(one) for one in status.get("degraded") or ()]
    for fault in faults:
        yield Finding("box", str(status.get("name")), Grade.WARNING, fault, "jackfield alarms has the remedy.")
    if not faults:
        up_s = status.get("up_s")
        said = f"{status.get('state')}, up {datetime.timedelta(seconds=round(up_s or 0))}"
        yield Finding("box", str(status.get("name")), Grade.OK, said)
    last = status.get("selftest")
    if isinstance(last, Mapping) and not last.get("passed"):
        said = f"the last self-test failed: {last.get('sentence')}"
        yield Finding("box", "selftest", Grade.FAULT, said, str(last.get("remedy")))


def _mistaken(mistake: Mistake, grade: Grade) -> Finding:
    where = " ".join(filter(None, (str(mistake.place), mistake.section, mistake.key)))
    return Finding("conf.d", where, grade, mistake.mistake, mistake.advice)
