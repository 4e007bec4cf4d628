"""The load generators: compiled from the C beside this file when older than it, run on their own core.

They report one JSON object; what its fields mean stands at the top of sipload.c and rtpload.c.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.peers.processes import PeerError, program

SERVER_CORE = "0"
GENERATOR_CORE = "1"
_SOURCES = Path(__file__).parent
_LIBRARIES = {"sipload": ["-lcrypto"], "rtpload": ["-lsrtp2", "-lcrypto"]}


def on_server_core() -> tuple[str, ...]:
    """Words to put before a server's command."""
    return ("taskset", "-c", SERVER_CORE)


def compiled(name: str) -> Path:
    """Path of the generator, compiled if need be into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jackfield-bench"
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / name
    sources = [_SOURCES / f"{name}.c", _SOURCES / "schedstat.h"]
    if not binary.exists() or binary.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        command = [program("gcc"), "-O2", "-Wall", "-o", str(binary), str(sources[0]), *_LIBRARIES[name]]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise PeerError(
                f"{name}.c does not compile (apt install gcc libc6-dev libssl-dev libsrtp2-dev)\n{result.stderr}"
            )
    return binary


def generate(name: str, pids: Iterable[int], options: Mapping[str, object], timeout_s: float = 60) -> dict[str, float]:
    """Run a generator against the server made of `pids`; options are its letters."""
    command = ["taskset", "-c", GENERATOR_CORE, str(compiled(name)), "-p", ",".join(map(str, pids))]
    for letter, value in options.items():
        command += [f"-{letter}"] if value is True else [f"-{letter}", str(value)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    if result.returncode:
        raise PeerError(f"{name} failed: {result.stderr}")
    if result.stderr:
        print(f"  {result.stderr.strip()}")
    report: dict[str, float] = json.loads(result.stdout)
    return report
