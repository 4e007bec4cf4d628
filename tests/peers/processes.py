"""Programs that the tests start: found by name, watched through their log file, ended by their own pid.

Nothing here waits a fixed time: every wait is for a condition (a port bound, a line logged, an exit) and has
a deadline after which the test fails with what the program wrote. The deadline says that it never happens, not that
it is slow: a machine that builds an image beside the tests may take seconds for what takes another a moment.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

POLL_S = 0.01
PATIENCE_S = 60.0


class PeerError(AssertionError):
    """A peer program is missing, died or did not do in time what the test waits for."""


def program(name: str) -> str:
    """Full path of a program; a missing one fails the test, because scripts/test installs them all."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        raise PeerError(f"{name} is not installed: scripts/test installs every program that the tests talk to")
    return path


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Return as soon as `condition()` is true; raise PeerError naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        late = time.monotonic() > deadline  # asked before the condition: we may be the ones who were held up
        if condition():
            return
        if late:
            raise PeerError(f"{what}: not within {timeout_s:g} s")
        time.sleep(POLL_S)


def _bound_inodes(port: int, protocol: str) -> set[str]:
    inodes = set()
    for family in ("", "6"):
        table = Path(f"/proc/net/{protocol}{family}")
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port and (protocol == "udp" or fields[3] == "0A"):
                inodes.add(fields[9])
    return inodes


def is_bound(port: int, protocol: str = "udp") -> bool:
    """Whether any process has the UDP port bound, or listens on the TCP port."""
    return bool(_bound_inodes(port, protocol))


class Program:
    """A running child with its output in `log_path`; `stop()` ends it, and only it."""

    def __init__(
        self,
        argv: Iterable[str],
        log_path: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = list(argv)
        self.argv[0] = program(self.argv[0])
        self.log_path = log_path
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def family(self) -> list[int]:
        """The program's pid and those of every process below it."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def running(self) -> bool:
        return self.process.poll() is None

    def expect_bound(self, port: int, protocol: str = "udp", timeout_s: float = PATIENCE_S) -> None:
        """Wait until the port is bound; fail at once if the program ends first."""
        self.expect(lambda: is_bound(port, protocol), f"{protocol} port {port} bound", timeout_s)

    def expect_log(self, pattern: str, timeout_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait for a line of the log; gives the match."""
        self.expect(lambda: re.search(pattern, self.log, re.M), f"{pattern!r} in the log", timeout_s)
        found = re.search(pattern, self.log, re.M)
        assert found is not None
        return found

    def expect(self, condition: Callable[[], object], what: str, timeout_s: float) -> None:
        def met_or_dead() -> bool:
            return bool(condition()) or not self.running()

        try:
            wait_until(met_or_dead, what, timeout_s)
        except PeerError as late:
            raise PeerError(f"{self._name}: {late}\n{self.tail()}") from None
        if not condition():
            raise PeerError(f"{self._name} ended ({self.process.returncode}) before: {what}\n{self.tail()}")

    def wait(self, timeout_s: float) -> int:
        """Exit status of the program; PeerError if it does not end in time."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop(grace_s=1.0)
            raise PeerError(f"{self._name} did not end within {timeout_s:g} s\n{self.tail()}") from None

    def stop(self, grace_s: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `grace_s`; workers that a server forked go with their process group."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.splitlines()[-lines:])

    @property
    def _name(self) -> str:
        return Path(self.argv[0]).name


def _parent(pid: int) -> int:
    """Parent of a process, 0 where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat[stat.rindex(")") + 2 :].split()[1])
