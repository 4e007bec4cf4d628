"""The support bundle: one file with what somebody far away needs to find out what is wrong, and without a secret.

Configuration (secrets covered, no keys), the end of the log, figures, alarms, the last calls with their explanations
and ladders, versions, and facts of the machine. Numbers of callers are in it: whoever sends it should know.
"""

from __future__ import annotations

import io
import json
import os
import platform
import resource
import ssl
import subprocess
import tarfile
import time
from collections.abc import Collection, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import attrs

from .. import __version__
from ..alarms import Alarms
from ..config.ini import read_ini
from ..config.secret import Secret
from ..config.setting import declarations
from ..config.settings import SECTIONS
from ..doctor.kernel_clock import synchronised
from ..interfaces import local_addresses
from ..logs import LONGEST_VALUE, EventLog
from ..metrics import Metrics, render_prometheus
from ..proxy import overview
from ..proxy.core import SipCore
from ..sip.flow import host_port
from ..trace.masking import masked
from ..trace.message import TracedMessage
from ..trace.question import Question
from ..trace.trace import Trace

LADDERS: Final = 10
"""Of the calls that failed last, beside those asked for."""
NOTHING_KEPT: Final = "None of its messages is kept; [trace] says how long they are, in memory and on disk."
MOST_CALLS: Final = 200
MOST_MESSAGES: Final = 2000
MOST_BYTES: Final = 4 << 20
LONGEST_CONF: Final = 1 << 20
UNITS_DEADLINE_S: Final = 5.0
_ABOUT: Final = """\
A support bundle of Jackfield. It holds no password, hash or key; it does hold numbers and addresses of callers.

conf.d/       the configuration, secrets covered
status.json   how the box did when this was made
alarms.json   what was wrong, and what had been
log.txt       the end of the log
metrics.txt   all figures, as Prometheus reads them
calls.json    calls in progress, ended and refused, each with its explanation
ladders/      messages of the calls that failed last and of those asked for, credentials and texts covered
versions.txt  Jackfield, Python and the libraries
machine.txt   the machine
"""
_COVERED_WORDS: Final = ("password", "passwd", "secret", "ha1", "authorization", "token", "private-key", "community")


async def live_parts(
    status: Mapping[str, Any],
    alarms: Alarms,
    log: EventLog,
    metrics: Metrics,
    core: SipCore,
    trace: Trace,
    call_ids: Collection[str] = (),
) -> dict[str, str]:
    """What only the running box knows, as texts by file name. `call_ids` are calls whose ladders are wanted."""
    ended, refused = overview.ended_calls(core), overview.refusals(core)
    failed = [one.call_id for one in ended if one.answered_at is None and one.status >= 400]
    wanted = list(dict.fromkeys((*call_ids, *[*(one.call_id for one in refused), *failed][:LADDERS])))
    calls = {
        "in progress": [attrs.asdict(one) for one in overview.calls(core, MOST_CALLS)],
        "ended": [attrs.asdict(one) for one in ended],
        "refused": [attrs.asdict(one) for one in refused],
    }
    told = {"active": [one.facts() for one in alarms.active], "past": [one.facts() for one in alarms.past]}
    parts = {
        "status.json": json.dumps(status, indent=1, default=str),
        "alarms.json": json.dumps(told, indent=1),
        "log.txt": "".join(log.tail),
        "metrics.txt": render_prometheus(metrics),
        "calls.json": json.dumps(calls, indent=1, default=str),
    }
    return parts | await _ladders(trace, wanted, frozenset(call_ids))


async def _ladders(trace: Trace, wanted: Sequence[str], asked: Collection[str]) -> dict[str, str]:
    """In one pass through the trace, which lets calls in between. Of calls that were asked for by name, what lies on
    disk as well; where nothing is kept of one, the file says so.
    """
    names = {name: call_id for call_id in wanted for name in trace.aliases(call_id)}
    if not names:
        return {}
    page = await trace.find(Question(calls=frozenset(names)), most=MOST_MESSAGES, most_bytes=MOST_BYTES)
    steps: dict[str, list[str]] = {}
    for call_id in (one for one in wanted if one in asked):
        try:
            steps[call_id] = [_ladder_step(one) for one in await trace.recall(call_id, 0.0, time.time(), MOST_MESSAGES)]
        except OSError as error:
            steps[call_id] = [f"The trace on disk cannot be read: {error}\n"]
    for message in page.messages:
        steps.setdefault(names[message.call_id], []).append(_ladder_step(message))
    return {
        f"ladders/{number:02}.txt": f"Call-ID {call_id}\n\n" + ("\n".join(found) or f"{NOTHING_KEPT}\n")
        for number, (call_id, found) in enumerate(steps.items(), 1)
    }


def _ladder_step(message: TracedMessage) -> str:
    way = "<-" if message.direction.value == "in" else "->"
    local, remote = (host_port(*address) for address in (message.local, message.remote))
    text = masked(message.data).decode("utf-8", "replace")
    return f"{_time(message.at)} {local} {way} {remote} {message.transport}\n{text}"


def still_parts(conf_dir: Path, state_dir: Path) -> dict[str, str]:
    """What lies in files and what the machine says, as texts by file name. It reads files: for a thread."""
    parts = {"README.txt": _ABOUT, "versions.txt": _versions(), "machine.txt": _machine(state_dir)}
    try:
        files = sorted(conf_dir.glob("*.conf"))
    except OSError:
        files = []
    for file in files:
        try:
            parts[f"conf.d/{file.name}"] = covered(file.read_bytes()[:LONGEST_CONF])
        except OSError as error:
            parts[f"conf.d/{file.name}"] = f"cannot be read: {error.strerror}\n"
    return parts


def covered(data: bytes) -> str:
    """A drop-in without its secrets: values of secret settings, whatever is named like one, also where it is commented
    out or misspelt, lines that belong to such a value, and keys in PEM."""
    secret = {
        (kind.heading, declared.key) for kind in SECTIONS for declared in declarations(kind.settings) if declared.secret
    }
    secret.add(("webhook", "url"))  # many a service takes whoever knows its address
    headings = {block.place.line: block.heading for block in read_ini(data, "")[0]}
    heading, hiding, in_key = "", False, False
    lines = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        heading = headings.get(number, heading)
        text = line.strip()
        if "-----BEGIN" in text or in_key:
            in_key = "-----END" not in text
            lines.append(Secret.SHOWN)
            continue
        bare = text.lstrip("#; \t")
        key, equals, _ = bare.partition("=")
        name = key.strip().lower().replace("_", "-")
        if equals and not (line[:1] in " \t" and hiding):
            hiding = (heading, name) in secret or any(word in name for word in _COVERED_WORDS)
            lines.append(f"{line[: line.index('=') + 1]} {Secret.SHOWN}" if hiding else line)
        elif hiding and text and line[:1] in " \t":
            lines.append(f"  {Secret.SHOWN}")
        else:
            hiding = hiding and not text
            lines.append(line)
    return "\n".join(lines) + "\n"


def pack(parts: Mapping[str, str], at: float) -> bytes:
    """The parts as tar.gz, in one folder that tells the time (UTC)."""
    folder = time.strftime("jackfield-support-%Y%m%d-%H%M%S", time.gmtime(at))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=6) as archive:
        for name in sorted(parts):
            data = parts[name].encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(at), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def file_name(at: float) -> str:
    """What the file is called where nobody says."""
    return time.strftime("jackfield-support-%Y%m%d-%H%M%S.tar.gz", time.gmtime(at))


def _versions() -> str:
    lines = [f"Jackfield {__version__}", f"Python {platform.python_version()}", ssl.OPENSSL_VERSION]
    found = {one.name: one.version for one in metadata.distributions()}
    return "\n".join([*lines, "", *(f"{name} {found[name]}" for name in sorted(found, key=str.lower))]) + "\n"


def _machine(state_dir: Path) -> str:
    memory = _first_lines("/proc/meminfo", 3)
    files, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    lines = [
        " ".join(platform.uname()),
        _first_lines("/etc/os-release", 1),
        f"processors {os.cpu_count()}, load {' '.join(f'{load:.2f}' for load in os.getloadavg())}",
        memory,
        f"open files {files}, at most {most_files}",
        f"addresses {', '.join(local_addresses())}",
        f"time {_time(time.time())}, zone {'/'.join(time.tzname)}, synchronised {synchronised()}",
        _failed_units(),
    ]
    try:
        disk = os.statvfs(state_dir)
        lines.append(f"disk {disk.f_bavail * disk.f_frsize >> 20} MiB free of {disk.f_blocks * disk.f_frsize >> 20}")
        names = sorted((file.name, file.stat().st_size) for file in state_dir.iterdir() if file.is_file())
        lines += ["state directory:", *(f"  {name} {size}" for name, size in names)]
    except OSError as error:
        lines.append(f"state directory: {error.strerror}")
    return "\n".join(lines) + "\n"


def _failed_units() -> str:
    words = ["systemctl", "--failed", "--plain", "--no-legend", "--no-pager"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=UNITS_DEADLINE_S, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "units that failed: systemd does not say"
    return f"units that failed: {', '.join(line.split()[0] for line in said.splitlines() if line.strip()) or 'none'}"


def _first_lines(file: str, count: int) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as text:
            return "".join(text.readlines(LONGEST_VALUE)[:count]).strip()
    except OSError:
        return f"{file} cannot be read"


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
