"""The page of a fabric: one file that loads nothing, with names that are text and never markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from platform_iac.fabric import page
from platform_iac.fabric.racks import place
from tests.fabric.small import fabric
from tests.fabric.test_racks import superpod


def embedded(text: str) -> dict[str, list[list[object]]]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    assert found
    return dict(json.loads(found[1]))


def test_the_page_holds_every_node_and_cable() -> None:
    plan = place(fabric())
    found = embedded(page.write(plan, "falcon"))
    nodes = found["nodes"]
    assert nodes[0] == ["spine-001", "spine", 0, 0, "B10", 64, 48]
    assert ["gpu01", "host", 1, 0, "A01", 2, 1] in nodes
    cables = [(nodes[c[0]][0], c[1], nodes[c[2]][0], c[3]) for c in found["cables"]]  # type: ignore[call-overload]
    assert len(cables) == len(plan.cables)
    assert cables[0] == ("gpu01", "mlx5_0", "leaf-01-1", 1)
    assert ("leaf-02-2", 34, "spine-002", 4) in cables


def test_the_page_loads_nothing() -> None:
    text = page.write(place(fabric()), "falcon")
    assert re.findall(r"(?:src|href)=|url\(|@import|fetch\(|XMLHttpRequest|import\(", text) == []
    assert set(re.findall(r"https?://[^\s\"']*", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "default-src 'none'" in text


def test_names_are_text_and_never_markup() -> None:
    plan = fabric()
    evil = '</script><script>alert(1)</script><img src=x onerror=alert(1)> "&\u2028'
    odd = replace(
        plan,
        switches=tuple(replace(switch, rack=evil) for switch in plan.switches),
        adapters=tuple(replace(adapter, rack="A01") for adapter in plan.adapters),
        notes=(evil,),
    )
    text = page.write(odd, f"@@data@@{evil}")
    assert text.count("<script") == page.write(plan, "x").count("<script")
    assert "<img" not in text
    assert embedded(text)["notes"] == [evil]
    assert embedded(text)["title"] == f"@@data@@{evil}"
    script = (page.PARTS / "page.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_a_large_fabric_is_a_page_that_opens() -> None:
    assert len(page.write(place(superpod(512)), "large")) < 600_000
