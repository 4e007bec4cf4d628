"""Floor 2: the machine under Jackfield, where it is our own image: what the root daemon is told and does.

`jackfield boxd` (boxd.py) is the only thing of ours that runs as root once the box is up. Everybody else asks it over
`/run/jackfield/box.sock`, one JSON object a line: {"verb": "restart", "service": "snmpd"} is answered by {"ok": true,
…} or {"ok": false, "error": "a sentence"}. What may be asked stands in `boxd.VERBS`. Where the machine is not our
image, everything here says so in one sentence and does nothing.
"""
