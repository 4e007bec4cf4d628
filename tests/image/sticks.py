"""Sticks and CDs with files on them, for boxes in QEMU."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def stick(folder: Path, label: str, files: Mapping[str, str]) -> Path:
    """A disk with FAT on it."""
    made = folder / f"{label}-{len(list(folder.iterdir()))}.img"
    subprocess.run(["mkfs.vfat", "-n", label, "-C", made, "8192"], check=True, capture_output=True)
    tree = made.with_suffix(".tree")
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    subprocess.run(["mcopy", "-s", "-i", made, *tree.iterdir(), "::"], check=True)
    return made


def cd(folder: Path, label: str, files: Mapping[str, str]) -> tuple[str, ...]:
    """QEMU's words for one, in a drive at IDE as Proxmox has it."""
    made, tree = folder / f"{label}.iso", folder / f"{label}.cd"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    subprocess.run(["xorrisofs", "-quiet", "-V", label, "-J", "-r", "-o", made, tree], check=True)
    drive = f"if=none,id=cd,media=cdrom,readonly=on,format=raw,file={made}"
    return ("-drive", drive, "-device", "ide-cd,bus=ide.1,drive=cd")
