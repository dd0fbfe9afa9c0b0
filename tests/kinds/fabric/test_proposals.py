"""What an error proposes is taken: by the schema of a spec, and by the planner."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from platform_iac.fabric import nearest
from platform_iac.fabric.sizes import FabricError, Wish, size
from platform_iac.kinds.fabric._tree import Tree

VALUE = r"[\w.-]+"
REMARK = r"(?: \([\d:]+\))?"
WAY = re.compile(rf"`(\w+): ({VALUE})`{REMARK}((?: or [\d.]+{REMARK})*)")
MOST = re.compile(r"take ([\d,]+) nodes at most")
DESPAIR = "take fewer nodes or rails"


def sized(fabric: dict[str, Any], slots: int) -> None:
    """Plan a fabric as a spec would say it."""
    spec = Tree.model_validate(fabric)
    size(
        Wish(
            rails=spec.rails or 8,
            radix=spec.radix,
            unit=spec.unit or 0,
            tiers=0 if spec.tiers == "auto" else spec.tiers,
            blocking=nearest.read(spec.blocking),
            design=spec.design,
        ),
        slots,
    )


def tried(fabric: dict[str, Any], slots: int) -> int:
    """Try whatever the error of this fabric proposes; return how much that was."""
    try:
        sized(fabric, slots)
    except FabricError as error:
        said = str(error)
    else:
        return 0
    what, _, ways = said.partition(" — ")
    assert what, said
    assert said.count("`") % 2 == 0, said
    bare = {key: value for key, value in fabric.items() if key not in ("unit", "tiers", "blocking")}
    changed = bare if ways.endswith("leave `unit`, `tiers` and `blocking` out") else fabric
    found = 0
    for name, first, others in WAY.findall(ways):
        for value in (first, *re.findall(r"or ([\d.]+)", others)):
            sized({**changed, name: value if name == "design" else float(value) if "." in value else int(value)}, slots)
            found += 1
    if most := MOST.search(ways):
        sized(fabric, int(most[1].replace(",", "")))
        found += 1
    if ways.startswith("leave"):
        sized(bare, slots)
        found += 1
    assert found or ways == DESPAIR, said
    return found


@pytest.mark.parametrize("seed", range(4))
def test_every_number_that_is_proposed_is_taken(seed: int) -> None:
    chance = random.Random(seed)
    found = 0
    for _ in range(80):
        fabric: dict[str, Any] = {
            "rails": chance.choice((1, 2, 4, 5, 8, 16)),
            "radix": chance.choice((*range(30, 70), 2, 8, 10, 16, 128, 511, 512)),
            "design": chance.choice(("rail-optimised", "fat-tree")),
            "tiers": chance.choice(("auto", 2, 3)),
        }
        if chance.random() < 0.6:
            fabric["unit"] = chance.choice((chance.randint(1, 70), chance.randint(1, 4096)))
        if chance.random() < 0.6:
            fabric["blocking"] = chance.choice((2, 3, 1.5, 16, round(chance.uniform(1, 16), chance.randint(1, 5))))
        found += tried(fabric, chance.choice((1, 31, 127, 500, 2047, 20000)))
    assert found > 50


FOUND_BEFORE = [
    {"rails": 4, "radix": 40, "blocking": 3, "design": "fat-tree"},
    {"radix": 32, "blocking": 15.5},
    {"radix": 512, "blocking": 12.8378},
    {"rails": 5, "radix": 64, "unit": 25, "design": "fat-tree"},
]


@pytest.mark.parametrize("fabric", FOUND_BEFORE)
def test_what_was_proposed_in_vain_once_is_not_again(fabric: dict[str, Any]) -> None:
    assert tried(fabric, 31)


def test_digits_are_as_many_as_the_ratio_needs() -> None:
    with pytest.raises(FabricError, match=r"take `blocking: 12\.83784` \(475:37\) or 13\.2222 \(119:9\)"):
        sized({"radix": 512, "blocking": 12.9}, 31)
