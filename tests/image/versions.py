"""Other versions of a root file system, made from its squashfs by replacing files in it: no second build, no root."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_DATA = b"# START OF DATA"


def another(squashfs: Path, output: Path, files: Mapping[str, bytes]) -> Path:
    """`files` by their paths without the first slash; each must be there, and keeps its owner and mode."""
    work = output.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    whole, changed, left = work / "whole", work / "changed", dict(files)
    subprocess.run(["unsquashfs", "-no-progress", "-quiet", "-pf", whole, squashfs], check=True, capture_output=True)
    with whole.open("rb") as given, changed.open("wb") as out:
        for line in given:
            path = line.partition(b" ")[0].decode(errors="replace")
            if path in left:
                content = work / str(len(left))
                content.write_bytes(left.pop(path))
                _, _, at, mode, user, group, *_ = line.split()
                line = b"%s F %s %s %s %s cat %s\n" % (
                    *(path.encode(), at, mode, user, group),
                    str(content).encode(),
                )
            out.write(line)
            if line.startswith(_DATA):
                break
        assert not left, f"not in the image: {', '.join(left)}"
        shutil.copyfileobj(given, out, 1 << 20)
    words = ["mksquashfs", "-", output, "-pf", changed, "-noappend", "-quiet", "-no-progress"]
    words += ["-comp", "gzip", "-Xcompression-level", "1", "-b", "128K"]
    subprocess.run(words, check=True, capture_output=True)
    shutil.rmtree(work)
    return output


def os_release(squashfs: Path, version: str) -> bytes:
    """That of the image, with another version."""
    words = ["unsquashfs", "-cat", squashfs, "usr/lib/os-release"]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    kept = [line for line in lines if not line.startswith(("IMAGE_VERSION=", "VERSION_ID=", "PRETTY_NAME="))]
    kept += [f'IMAGE_VERSION="{version}"', f'VERSION_ID="{version}"', f'PRETTY_NAME="Jackfield {version}"']
    return "".join(f"{line}\n" for line in kept).encode()


def unit(squashfs: Path, name: str) -> str:
    """The text of a unit of the image."""
    words = ["unsquashfs", "-cat", squashfs, f"usr/lib/systemd/system/{name}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
