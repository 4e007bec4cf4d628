"""Run by test_registrar_after_kill: register without end and print the number of each REGISTER that was answered."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import trio

from appliance.proxy.location import Location
from appliance.proxy.registrar import Registrar, RegistrarOptions
from appliance.sip.message import Response
from appliance.storage.storage import StorageOptions, open_storage
from tests.proxy.desk import Wire, register_request


async def main(path: Path, first: int) -> None:
    send, receive = trio.open_memory_channel[int](50)
    async with open_storage(path, StorageOptions(group_commit_s=0.002)) as storage, trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        registrar = Registrar(Location(), storage, RegistrarOptions())

        def register(number: int) -> None:
            def reply(response: Response) -> None:
                assert response.status == 200
                os.write(1, b"%d\n" % number)
                send.send_nowait(number)

            request = register_request(
                f"Contact: <sip:{number}@192.0.2.7>",
                call_id=f"{number}",
                cseq=number,
                aor=f"sip:{number}@example.com",
            )
            registrar.register(request, Wire(), f"sip:{number}@example.com", time.time(), reply)

        for number in range(first, first + 20):
            register(number)
        async for number in receive:
            register(number + 20)


trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
