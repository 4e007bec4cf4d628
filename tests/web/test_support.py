"""The support bundle from the page: for who is signed in and sends our form, and without a secret."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

from tests.web.box import open_box
from tests.web.test_sign_in import sign_in


async def test_the_button_gives_a_bundle_to_an_administrator_only(tmp_path: Path) -> None:
    async with open_box(tmp_path, "[user 1002]\npassword = hunter2hunter2\n") as box, box.client() as client:
        assert (await client.post("/support", data={"token": "x"})).status_code == 403
        await sign_in(client, box.password)
        page = await client.get("/diagnosis")
        token = re.search(r'action="/support">\s*<input type="hidden" name="token" value="([^"]+)"', page.text)
        assert token
        assert (await client.post("/support", data={"token": "guessed"})).status_code == 403
        answer = await client.post("/support", data={"token": token[1]})
        audit = (await client.get("/audit")).text
    assert answer.status_code == 200
    assert "refused: no token of the page" in audit
    assert re.search(
        r'attachment; filename="jackfield-support-[0-9-]+\.tar\.gz"', answer.headers["content-disposition"]
    )
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        texts = [file.read() for member in archive.getmembers() if (file := archive.extractfile(member))]
    assert {"conf.d/b.conf", "status.json", "metrics.txt"} <= set(names)
    assert b"hunter2hunter2" not in b"".join(texts)
    assert box.password.encode() not in b"".join(texts)
