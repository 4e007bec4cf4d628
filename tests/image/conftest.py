"""An image of this tree: built for these tests, or the one in the folder that JACKFIELD_IMAGE names."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the raw disk and the squashfs of the flavour vm."""
    given = os.environ.get("JACKFIELD_IMAGE")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("built")
    words = [ROOT / "firmware-image" / "build", "0.1.0", "--fast", "--output", folder]
    built = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200)
    assert built.returncode == 0, f"{built.stdout}\n{built.stderr}"
    print(f"\n{built.stdout[built.stdout.find('built in') :]}")
    return folder
