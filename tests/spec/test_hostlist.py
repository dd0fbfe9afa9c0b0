from __future__ import annotations

import random

import pytest

from platform_iac.spec.hostlist import HostlistError, compress, expand


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ctl01", ("ctl01",)),
        ("gpu[1-3]", ("gpu1", "gpu2", "gpu3")),
        ("gpu[001-003,010]", ("gpu001", "gpu002", "gpu003", "gpu010")),
        ("gpu[8-11]", ("gpu8", "gpu9", "gpu10", "gpu11")),
        ("a,b[1-2],c", ("a", "b1", "b2", "c")),
        ("rack[1-2]-a", ("rack1-a", "rack2-a")),
        ("mlx5_[0,3-4]", ("mlx5_0", "mlx5_3", "mlx5_4")),
    ],
)
def test_a_hostlist_stands_for_its_names_in_order(text: str, names: tuple[str, ...]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "a,", "a[", "a]", "a[]", "a[1-]", "a[-1]", "a[1-2-3]", "a[x]", "a[1]b[2]", "a[[1]]", "a b", "a[1 2]",
     "a[2-1]", "a[08-100]", "a[1-999999999]", "a[1,1]", "a[1-9999999999]", "a[١-٣]"],
)  # fmt: skip
def test_what_is_no_hostlist_is_refused_with_advice(text: str) -> None:
    with pytest.raises(HostlistError, match=" — "):
        expand(text)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["gpu3", "gpu1", "gpu2"], "gpu[1-3]"),
        (["gpu001", "gpu002", "gpu040"], "gpu[001-002,040]"),
        (["gpu9", "gpu10"], "gpu9,gpu10"),
        (["ctl01", "login"], "ctl01,login"),
        ([], ""),
    ],
)
def test_names_become_the_shortest_hostlist(names: list[str], text: str) -> None:
    assert compress(names) == text


def test_expanding_what_was_compressed_gives_the_same_names() -> None:
    chance = random.Random(1)
    for _ in range(200):
        names = {f"{chance.choice('abc')}{chance.randrange(120):0{chance.choice((1, 3))}}" for _ in range(40)}
        assert set(expand(compress(names))) == names


def test_a_thousand_nodes_are_one_short_text() -> None:
    names = [f"gpu{number:04}" for number in range(1, 1025)]
    assert compress(names) == "gpu[0001-1024]"
    assert list(expand("gpu[0001-1024]")) == names
