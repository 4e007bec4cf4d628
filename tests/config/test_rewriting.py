"""Rewriting in drop-ins: rules by their numbers, names that lead nowhere, rules that can never do anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.difference import difference
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from appliance.config.settings import Settings

LISTENER = "[listener udp]\ntransport = udp\nport = 5060\n"


def load(directory: Path, text: str, later: str = "") -> Settings:
    (directory / "10.conf").write_text(LISTENER + text)
    (directory / "20.conf").write_text(later)
    return load_settings(directory)


def mistakes(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigRejected) as caught:
        load(directory, text)
    return [str(mistake).removeprefix(f"{directory}/10.conf:") for mistake in caught.value.mistakes]


def test_rules_stand_in_the_order_of_their_numbers_and_a_later_file_replaces_single_ones(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "[rules a]\n100 = add P-C 3\n20 = add P-B 2\n3 = add P-A 1\n",
        "[rules a]\n20 = add P-B other\n100 =\n",
    )
    assert [(number, str(rule)) for number, rule in settings.rules["a"].rules] == [
        (3, "add P-A 1"),
        (20, "add P-B other"),
    ]


def test_each_mistake_has_its_line(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path, "[rules a]\n10 = add Via x\n20 = replace P-A ( x\n0 = stop\nx = stop\n30 = stop\n30 = stop\n"
    )
    assert [one.partition(". ")[0][:70] for one in found] == [
        "5: [rules a] 10: via cannot be changed: it belongs to the transaction or th"[:70],
        "6: [rules a] 20: '(' is not a regular expression: missing ): ("[:70],
        "7: [rules a] 0: is not a setting of this section",
        "8: [rules a] x: is not a setting of this section",
        "10: [rules a] 30: stands twice in this file, first in line 9",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[trunk t]\nrules-in = nome\n[rules name]\n", "there is no [rules nome]. Did you mean name?"),
        ("[trunk t]\nrules-out = x\n", "there is no [rules x]. Add a section [rules x]."),
        ("[trunk t]\nnumbers-in = uk\n", "there is no [numberplan uk]. Add a section [numberplan uk]."),
        ("[user 1]\nnumbers-out = uk:national\n", "there is no [numberplan uk]"),
        ("[trunk t]\nnumbers-out = uk\n", "'uk' is not PLAN:FORMAT"),
        ("[trunk t]\ncodecs = PCMA, !pcma\n", "pcma stands twice"),
        ("[rules a]\n10 = stop\n20 = add P-A 1\n", "20: never gets its turn: rule 10 stops before"),
        ("[rules a]\n10 = remove P-A\n20 = replace P-A a b\n", "20: never finds p-a: rule 10 has removed it"),
        ("[rules a]\n10 = remove P-A when any\n20 = add P-B {p-a}\n", "20: never finds p-a"),
        ("[rules a]\n10 = set P-A 1\n20 = set P-A 1\n", "20: does what rule 10 has done already"),
        ("[numberplan p]\ncountry-code = 44\nlocal-lengths = 7-8\n", "stands without area-code"),
        ("[numberplan p]\ncountry-code = 44\narea-code = 20\n", "stands without local-lengths"),
        (
            "[numberplan p]\ncountry-code = 1\nnational-lengths = 7-10\nlocal-lengths = 4-7\narea-code = 212\n",
            "cannot be told apart",
        ),
        (
            "[numberplan p]\ncountry-code = 44\nnational-prefix = 0\nnational-lengths = 9-10\nlocal-lengths = 4-\n",
            "is not a range",
        ),
        (
            "[numberplan p]\ncountry-code = 44\nnational-prefix = 0\nnational-lengths = 9-10\nlocal-lengths = 4-5\n"
            "area-code = 20\n",
            "with the area code a local number has 6 to 7 digits",
        ),
    ],
)
def test_what_cannot_work_is_told(tmp_path: Path, text: str, mistake: str) -> None:
    assert any(mistake in one for one in mistakes(tmp_path, text))


def test_what_only_looks_unreachable_is_let_pass(tmp_path: Path) -> None:
    load(
        tmp_path,
        """[rules a]
10 = stop when responses
20 = remove P-A when method = INVITE
30 = replace P-A a b
40 = remove P-B
50 = add P-B 1
60 = replace P-B 1 2
70 = remove P-C when in-dialog
80 = replace P-C a b
90 = add P-D 1
91 = add P-D 1
""",
    )


def test_a_changed_rule_is_a_change_of_its_set(tmp_path: Path) -> None:
    old = load(tmp_path, "[rules a]\n10 = add P-A 1\n")
    new = load(tmp_path, "[rules a]\n10 = add P-A 2\n")
    assert [str(change) for change in difference(old, new)] == ["[rules a] changed"]
    assert difference(new, load(tmp_path, "[rules a]\n10 = add P-A 2\n")) == ()
