"""A machine in a folder that says it is our image; the programs it is told to run are written down, not run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from appliance.box.machine import Machine, Ran


@attrs.define
class Programs:
    """`answers` by the first words of a program's line; others do well and say nothing."""

    ran: list[str] = attrs.field(factory=list)
    given: list[bytes] = attrs.field(factory=list)
    answers: Mapping[str, Ran] = attrs.field(factory=dict)

    async def run(self, words: Sequence[str], given: bytes) -> Ran:
        line = " ".join(words)
        self.ran.append(line)
        self.given.append(given)
        return next((ran for start, ran in self.answers.items() if line.startswith(start)), Ran(0, ""))


def image_in(folder: Path, programs: Programs | None = None) -> Machine:
    """Its root is the folder."""
    (folder / "etc/jackfield/conf.d").mkdir(parents=True, exist_ok=True)
    (folder / "data/jackfield/state").mkdir(parents=True, exist_ok=True)
    (folder / "etc/os-release").write_text('ID=debian\nIMAGE_ID=jackfield\nIMAGE_VERSION="1.2.3"\n')
    return Machine(folder, (programs or Programs()).run)
