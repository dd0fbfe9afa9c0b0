"""The guide shows only what works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from platform_iac.spec import document, rules
from platform_iac.spec.load import STACKS, load, loads

GUIDE = STACKS.parent / "docs" / "spec.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "extends:" not in block])
def test_every_whole_spec_of_the_guide_loads(block: str) -> None:
    assert loads(block).name == "falcon"


@pytest.mark.parametrize("block", [block for block in BLOCKS if "extends:" in block])
def test_every_overlay_of_the_guide_loads_on_a_base(block: str, tmp_path: Path) -> None:
    (tmp_path / "_falcon.yaml").write_text(BLOCKS[1], encoding="utf-8")
    (tmp_path / "over.yaml").write_text(block, encoding="utf-8")
    assert len(load(tmp_path / "over.yaml").pools["gpu"].names) == 31


def test_the_guide_names_the_bounds_there_are() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert document.MOST_BYTES == 1024**2
    for bound in (document.MOST_DEPTH, document.MOST_NODES, rules.MOST_HOSTS):
        assert f"{bound:,}" in text
