"""firmware-image/build at work beside other tests, and out of their way: it gets the processor's time that they leave.

It is a process group of its own, which is ended with it; should the tests be killed, the kernel tells it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

import attrs
import pytest

ROOT = Path(__file__).parents[2]
BUILD_S = 1200
"""It takes two to five minutes."""
UNAVAILABLE = 69
"""What the build ends with where it says that this machine cannot build."""
ASIDE = ("setpriv", "--pdeathsig", "TERM", "nice", "-n", "19", "ionice", "-t", "-c", "idle")


@attrs.define
class Build:
    """The flavour vm, compressed in haste."""

    folder: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="jackfield-image-"))
        folder.chmod(0o755)  # for the builder's subordinate ids
        words = [*ASIDE, ROOT / "firmware-image" / "build", "0.1.0", "--fast", "--output", folder]
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=os.environ | {"TMPDIR": str(folder)},
                start_new_session=True,
            )
        with suppress(OSError):
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        with suppress(OSError):  # a session has a share of the processor of its own, where the kernel groups by session
            Path(f"/proc/{process.pid}/autogroup").write_text("19")
        return cls(folder, process)

    def wait(self) -> Path:
        """The folder with what is built. Skips the test where this machine cannot build, fails it with the log."""
        try:
            code = self.process.wait(BUILD_S)
        except subprocess.TimeoutExpired:
            self._kill(signal.SIGTERM)
            code = -1
        said = (self.folder / "said").read_text(errors="replace")
        if code == UNAVAILABLE:
            pytest.skip(f"no image can be built here: {said.strip()}")
        assert code == 0, f"firmware-image/build ended with {code}:\n{said}"
        return self.folder

    def end(self) -> None:
        """It, and all that it has made."""
        self._kill(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self._kill(signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
