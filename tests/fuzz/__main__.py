"""`python -m tests.fuzz TARGET SECONDS [CORPUS…]`: one target under atheris for a bounded time.

Ends with status 0 when nothing was found, otherwise with the traceback and the input in hex.
"""

from __future__ import annotations

import os
import sys
import traceback
from tempfile import gettempdir

import atheris

from appliance.logs import log
from tests.fuzz import targets

_INSTRUMENTED = ["appliance.sip", "appliance.rtc", "appliance.router", "appliance.proxy"]


def main() -> None:
    name, seconds, *corpus = sys.argv[1:]
    with atheris.instrument_imports(include=_INSTRUMENTED):
        target = targets.target(name)
    log.set_level("error")

    def once(data: bytes) -> None:
        try:
            target(data)
        except Exception:
            traceback.print_exc()
            print(f"input: {data.hex()}", flush=True)
            raise

    seed = ["-seed=1"] if os.environ.get("CI") else []
    options = [
        *seed,
        f"-max_total_time={seconds}",
        "-max_len=2048",
        "-timeout=20",
        "-rss_limit_mb=1024",
        "-verbosity=0",
    ]
    options.append(f"-artifact_prefix={corpus[0] if corpus else gettempdir()}/")
    atheris.Setup([sys.argv[0], *options, *corpus], once)
    atheris.Fuzz()


main()
