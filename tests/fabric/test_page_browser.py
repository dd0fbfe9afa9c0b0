"""The page in a real browser: search, hover and click do what they say, at 127 nodes and at 2,048."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_iac.fabric import page
from platform_iac.fabric.racks import place
from tests.fabric.test_racks import superpod
from tests.twin_support.browser import Browser, browser

pytestmark = pytest.mark.twin

LIT = "[...document.querySelectorAll('.lit')].map(path => (path.getAttribute('d').match(/M/g) || []).length)"
"""How many cables of each rail are marked in the picture."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        found.call("Emulation.setDeviceMetricsOverride", width=1280, height=1000, deviceScaleFactor=1, mobile=False)
        yield found


@pytest.fixture(scope="module")
def falcon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "fabric.html"
    path.write_text(page.write(place(superpod(127)), "falcon"))
    return path


def show(chromium: Browser, path: Path) -> None:
    chromium.show(path)
    until(chromium, "document.documentElement?.dataset.ready === 'yes'")


def until(chromium: Browser, expression: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not chromium.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < deadline, f"never came: {expression}\n{chromium.text()[:2000]}"
        time.sleep(0.1)


def search(chromium: Browser, words: str) -> None:
    chromium.evaluate("document.getElementById('search').focus(); document.getElementById('search').select()")
    chromium.write(words)


def count(chromium: Browser, selector: str) -> int:
    return int(chromium.evaluate(f"document.querySelectorAll('{selector}').length"))


def node(name: str) -> str:
    return f'.node[aria-label="{name}"]'


def test_every_switch_and_host_is_drawn(chromium: Browser, falcon: Path) -> None:
    show(chromium, falcon)
    drawn = {tier: count(chromium, f".node.{tier}") for tier in ("spine", "leaf", "host", "manager")}
    assert drawn == {"spine": 16, "leaf": 32, "host": 127, "manager": 2}
    assert "2,044 cables" in chromium.text()
    assert count(chromium, "#cables tbody tr") == 200
    chromium.evaluate("document.getElementById('more').click()")
    assert count(chromium, "#cables tbody tr") == 400


def test_hover_marks_a_nodes_cables_and_says_where_it_stands(chromium: Browser, falcon: Path) -> None:
    show(chromium, falcon)
    assert chromium.evaluate(LIT) == []
    chromium.point(node("gpu0040") + " rect")
    until(chromium, "document.querySelector('.lit')")
    assert chromium.evaluate(LIT) == [1] * 8
    near = chromium.evaluate(
        "[...document.querySelectorAll('.node.near')].map(n => n.getAttribute('aria-label')).sort()"
    )
    assert near == ["gpu0040", *(f"leaf-02-{rail}" for rail in range(1, 9))]
    tip = chromium.evaluate("document.getElementById('tip').innerText")
    assert tip.split("\n") == ["gpu0040", "rack A11 unit 25 · 8 cables"]
    chromium.point("#title")
    until(chromium, "!document.querySelector('.lit')")
    chromium.point(node("leaf-04-3") + " rect")
    until(chromium, "document.querySelector('.lit')")
    assert chromium.evaluate(f"{LIT}.reduce((a, b) => a + b)") == 64


@pytest.mark.parametrize(
    ("words", "cables", "first"),
    [
        ("gpu0127", 8, "gpu0127.mlx5_0/leaf-04-1.31"),
        ("leaf-01-3", 64, "gpu0001.mlx5_2/leaf-01-3.1"),
        ("leaf-01-3 port 12", 1, "gpu0012.mlx5_2/leaf-01-3.12"),
        ("gpu0012.mlx5_2/leaf-01-3.12", 1, "gpu0012.mlx5_2/leaf-01-3.12"),
        ("leaf-01-3.12/gpu0012.mlx5_2", 1, "gpu0012.mlx5_2/leaf-01-3.12"),
        ("rack A01 mlx5_7", 4, "gpu0001.mlx5_7/leaf-01-8.1"),
        ("LEAF-01-3 spine-002", 2, "leaf-01-3.34/spine-002.5"),
        ("acc gpu0013", 8, "gpu0013.mlx5_0/leaf-01-1.13"),
        ("nothing-of-that-name", 0, ""),
    ],
)
def test_search_finds_hosts_switches_ports_labels_and_racks(
    chromium: Browser, falcon: Path, words: str, cables: int, first: str
) -> None:
    show(chromium, falcon)
    search(chromium, words)
    until(chromium, f"document.getElementById('count').textContent.startsWith('{cables} cable')")
    rows = chromium.evaluate("[...document.querySelectorAll('#cables tbody td.label')].map(cell => cell.innerText)")
    assert (len(rows), (rows or [""])[0]) == (cables, first)
    assert sum(chromium.evaluate(LIT)) == cables


def test_a_click_searches_for_the_node_and_a_row_marks_its_cable(chromium: Browser, falcon: Path) -> None:
    show(chromium, falcon)
    chromium.evaluate(
        f"document.querySelector('{node('spine-005')}').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))"
    )
    until(chromium, "document.getElementById('count').textContent === '64 cables found'")
    chromium.evaluate(
        "document.querySelector('#cables tbody tr').dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))"
    )
    assert chromium.evaluate(LIT) == [1]


def test_2048_nodes_open_closed_and_a_unit_can_be_opened(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text(page.write(place(superpod(2048)), "large"))
    show(chromium, path)
    assert count(chromium, ".node.closed") == 65
    assert count(chromium, ".node.host") == 0
    chromium.evaluate(
        "document.querySelector('[data-unit=\"7\"]').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    assert count(chromium, "#unit .node.host") == 32
    search(chromium, "gpu0200")
    until(chromium, "document.getElementById('count').textContent === '8 cables found'")
    assert sum(chromium.evaluate(LIT)) >= 8


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_legible_by_day_and_by_night(chromium: Browser, falcon: Path, scheme: str) -> None:
    """Words stand out from their ground by 4.5 to 1 at least (WCAG 2, 1.4.3)."""
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    show(chromium, falcon)
    contrast = """(() => {
      const of = (selector, property = 'color') => getComputedStyle(document.querySelector(selector))[property];
      const channel = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
      const light = (color) => color.match(/[\\d.]+/g).slice(0, 3)
        .reduce((sum, v, i) => sum + channel(v / 255) * [.2126, .7152, .0722][i], .05);
      const against = (text, ground) => Math.max(light(text) / light(ground), light(ground) / light(text));
      const body = of('body', 'backgroundColor'), paper = of('#picture', 'backgroundColor');
      return [against(of('h1'), body), against(of('header p'), body), against(of("td"), paper),
        against(of("th"), paper),
        against(of('.node text', 'fill'), of('.node rect', 'fill')),
        against(of('svg .head', 'fill'), of('svg .panel', 'fill'))];
    })()"""
    found = chromium.evaluate(contrast)
    assert min(found) >= 4.5, found
    if folder := os.environ.get("SCREENSHOTS"):  # docs/images/fabric.png is the one by day
        search(chromium, "leaf-03-3")
        until(chromium, "document.querySelector('.lit')")
        (Path(folder) / f"fabric-{scheme}.png").write_bytes(chromium.screenshot())
