"""The machine as this room sees it: where its files are, whether it is our image, and how programs are run on it.

Our image says so in os-release: IMAGE_ID=jackfield, with IMAGE_VERSION. All files are found below `root`, which is /
but in tests. Who needs a program run calls `run`, which tests replace.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

IMAGE_ID: Final = "jackfield"
RUN_DEADLINE_S: Final = 60.0
LONGEST_OUTPUT: Final = 65_536
APART: Final = ("systemd-run", "--quiet", "--collect", "--wait", "--pipe")
"""Before a program that does what boxd itself is kept from: systemd runs it in a unit of its own, boxd waits for it."""
SOON: Final = ("systemd-run", "--quiet", "--collect", "--on-active=2s", "--timer-property=AccuracySec=100ms")
"""Before a program that ends boxd or the web side: the answer still reaches the person who asked for it."""


class NotOurImage(Exception):  # noqa: N818 (it says what happened)
    """The machine is somebody's own: we do not touch it."""

    def __init__(self) -> None:
        super().__init__(
            "this is not a Jackfield image: its network, time, services and updates are its owner's, nothing was done"
        )


class Refused(Exception):  # noqa: N818 (it says what happened)
    """What was asked cannot be done; the text is a sentence for people."""


@attrs.frozen
class Ran:
    """How a program ended: its exit code, and what it said on both outputs."""

    code: int
    output: str


Run = Callable[[Sequence[str], bytes], Awaitable[Ran]]
"""Runs a program with words and an input. Never raises for what the program does; 127 where there is none."""


async def run_program(words: Sequence[str], given: bytes = b"") -> Ran:
    """The real one: no shell, no terminal, a minute at most."""
    try:
        with trio.fail_after(RUN_DEADLINE_S):
            done = await trio.run_process(
                list(words), stdin=given, capture_stdout=True, stderr=subprocess.STDOUT, check=False
            )
    except trio.TooSlowError:
        return Ran(124, f"{words[0]} took longer than {RUN_DEADLINE_S:g} s")
    except OSError as error:
        return Ran(127, f"{words[0]} cannot be run: {error.strerror}")
    return Ran(done.returncode, done.stdout[-LONGEST_OUTPUT:].decode("utf-8", "replace").strip())


@attrs.frozen
class Machine:
    """`root` is where its file system begins."""

    root: Path = Path("/")
    run: Run = run_program

    @property
    def version(self) -> str | None:
        """Of the image; None where it is not ours."""
        for file in ("etc/os-release", "usr/lib/os-release"):
            facts = _os_release(self.root / file)
            if facts:
                return facts.get("IMAGE_VERSION", "") if facts.get("IMAGE_ID") == IMAGE_ID else None
        return None

    def must_be_ours(self) -> None:
        """Raises `NotOurImage`."""
        if self.version is None:
            raise NotOurImage

    @property
    def socket(self) -> Path:
        """Where boxd listens."""
        return self.root / "run/jackfield/box.sock"

    @property
    def data(self) -> Path:
        """The data partition."""
        return self.root / "data"

    @property
    def own(self) -> Path:
        """What boxd keeps, root's alone."""
        return self.data / "box"

    @property
    def conf_dir(self) -> Path:
        return self.root / "etc/jackfield/conf.d"

    @property
    def state_dir(self) -> Path:
        return self.data / "jackfield/state"

    async def do(self, *words: str, given: bytes = b"", by: Sequence[str] = ()) -> str:
        """Run a program that must succeed; what it said. Raises `Refused`."""
        ran = await self.run((*by, *words), given)
        if ran.code:
            last = ran.output.splitlines()[-1] if ran.output else f"exit code {ran.code}"
            raise Refused(f"{' '.join(words[:3])} failed: {last}")
        return ran.output


def write_file(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Write the whole file or nothing, durably. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".new-", dir=file.parent)
    try:
        with open(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
            os.fchmod(out.fileno(), mode)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def give(path: Path, owner: os.stat_result) -> None:
    """As root, make a file somebody's own; as anybody else it is ours already."""
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory last through a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _os_release(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
