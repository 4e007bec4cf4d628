"""The shipped examples: each loads without a doubt, and each call in it goes where its comment says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.commands.answers import DONE

CONF = Path(__file__).parents[2] / "conf.d"
EXAMPLES = CONF / "examples"
ASKED = re.compile(r"jackfield route explain (.*?)\s+→ (.*)")
WHOLE = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())
SINGLE = sorted(EXAMPLES.glob("*.conf"))


def directory_of(example: Path, tmp_path: Path) -> Path:
    """A configuration with the example in it: the directory itself, or the shipped drop-ins and one file more."""
    if example.is_dir():
        return example
    for file in (*CONF.glob("*.conf"), *EXAMPLES.glob("*.dn")):
        shutil.copy(file, tmp_path)
    shutil.copy(example, tmp_path / f"60-{example.name}")
    return tmp_path


@pytest.mark.parametrize("example", [*SINGLE, *WHOLE], ids=lambda path: path.stem)
def test_an_example_is_well_and_its_calls_go_where_it_says(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf_dir = str(directory_of(example, tmp_path))
    assert main(["check", "--conf-dir", conf_dir]) == DONE, capsys.readouterr().err
    assert "doubtful" not in capsys.readouterr().out
    files = [example] if example.is_file() else sorted(example.glob("*.conf"))
    texts = [file.read_text() for file in files]
    asked = [found for text in texts for found in ASKED.findall(text)]
    assert len(asked) > 1 or not any("[route " in text for text in texts)
    for options, expected in asked:
        assert main(["route", "explain", "--conf-dir", conf_dir, *shlex.split(options)]) == DONE, options
        said = capsys.readouterr().out
        [end] = re.findall(r"^So: (.*)$", said, re.MULTILINE)
        assert (options, end.partition(": users may")[0]) == (options, expected.strip()), said


def test_every_example_is_named_in_the_list() -> None:
    text = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert (
            path.name == "README.md" or path.name in text or path.name in (EXAMPLES / "number-table.conf").read_text()
        )
