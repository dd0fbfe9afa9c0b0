"""Plan against discovery: every mistake of a hand is one finding, in words that lead to the port."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from platform_iac.fabric import ibnet
from platform_iac.fabric.compare import Finding, Report, compare
from platform_iac.fabric.ibnet import Discovery, Found, Link
from platform_iac.fabric.model import Cable, Fabric
from tests.fabric.small import fabric


@dataclass
class Hall:
    """A discovered fabric that can be spoilt, by names: links are pairs of (name, port)."""

    plan: Fabric
    nodes: dict[str, Found] = field(default_factory=dict)
    links: dict[frozenset[tuple[str, int]], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = ibnet.parse(ibnet.write(self.plan))
        names = {id: node.name for id, node in found.nodes.items()}
        self.nodes = {node.name: node for node in found.nodes.values()}
        self.links = {
            frozenset({(names[link.a], link.a_port), (names[link.b], link.b_port)}): link.text for link in found.links
        }

    def unplug(self, name: str, port: int) -> tuple[str, int]:
        """Pull the cable out of a port, and return the other end."""
        link = next(link for link in self.links if (name, port) in link)
        del self.links[link]
        return next(iter(link - {(name, port)}))

    def plug(self, one: tuple[str, int], other: tuple[str, int], text: str = "4xNDR") -> None:
        self.links[frozenset({one, other})] = text

    def swap(self, one: tuple[str, int], other: tuple[str, int]) -> None:
        first, second = self.unplug(*one), self.unplug(*other)
        self.plug(one, second)
        self.plug(other, first)

    def slow(self, name: str, port: int, text: str) -> None:
        self.links[next(link for link in self.links if (name, port) in link)] = text

    def remove(self, name: str) -> None:
        for link in [link for link in self.links if any(name == end for end, _ in link)]:
            del self.links[link]
        del self.nodes[name]

    def rename(self, name: str, to: str) -> None:
        self.nodes[name] = replace(self.nodes[name], name=to)

    def add(self, node: Found) -> None:
        self.nodes[node.name] = node

    def discovery(self) -> Discovery:
        """As ibnetdiscover would see it: what no cable joins is not there."""
        joined = {name for link in self.links for name, _ in link}
        links = []
        for link, text in self.links.items():
            (a, a_port), (b, b_port) = sorted((self.nodes[name].id, port) for name, port in link)
            links.append(Link(a=a, a_port=a_port, b=b, b_port=b_port, text=text))
        nodes = {node.id: node for name, node in self.nodes.items() if name in joined}
        return Discovery(nodes=dict(sorted(nodes.items())), links=tuple(sorted(links)))

    def report(self) -> Report:
        return compare(self.plan, self.discovery())

    def said(self) -> list[str]:
        return [finding.text for finding in self.report().findings]


@pytest.fixture
def hall() -> Hall:
    return Hall(fabric(guids=False))


def test_a_fabric_as_planned_has_no_findings(hall: Hall) -> None:
    assert hall.report() == Report(findings=(), planned=24, right=24)


def test_two_cables_in_each_others_ports_are_one_finding(hall: Hall) -> None:
    hall.swap(("leaf-01-2", 2), ("leaf-01-2", 3))
    assert hall.said() == ["leaf-01-2 port 2: planned gpu02 mlx5_1, found gpu03 mlx5_1 — swapped with leaf-01-2 port 3"]


def test_two_uplinks_in_each_others_ports_are_one_finding_at_the_spines(hall: Hall) -> None:
    hall.swap(("spine-001", 1), ("spine-002", 4))
    assert hall.said() == [
        "spine-001 port 1: planned leaf-01-1 port 33, found leaf-02-2 port 34 — swapped with spine-002 port 4"
    ]


def test_a_ring_of_three_is_one_finding(hall: Hall) -> None:
    hall.swap(("leaf-01-1", 1), ("leaf-01-1", 2))
    hall.swap(("leaf-01-1", 2), ("leaf-01-1", 3))
    assert hall.said() == [
        (
            "leaf-01-1 port 1: planned gpu01 mlx5_0, found gpu02 mlx5_0; leaf-01-1 port 2: planned gpu02 mlx5_0, "
            "found gpu03 mlx5_0; leaf-01-1 port 3: planned gpu03 mlx5_0, found gpu01 mlx5_0 — 3 cables in a ring"
        )
    ]


def test_a_cable_that_is_not_there_is_missing(hall: Hall) -> None:
    hall.unplug("leaf-01-2", 4)
    hall.unplug("leaf-02-1", 34)
    assert hall.said() == [
        "leaf-01-2 port 4: planned gpu04 mlx5_1, found nothing",
        "spine-002 port 3: planned leaf-02-1 port 34, found nothing",
    ]


def test_a_cable_in_a_free_port_has_moved(hall: Hall) -> None:
    hall.plug(("leaf-01-1", 20), hall.unplug("leaf-01-1", 2))
    assert hall.said() == [
        (
            "leaf-01-1 port 2: planned gpu02 mlx5_0, found nothing; "
            "leaf-01-1 port 20: planned nothing, found gpu02 mlx5_0 — one cable moved"
        )
    ]


def test_a_row_that_is_off_by_one_is_one_finding(hall: Hall) -> None:
    for port in (4, 3, 2):
        hall.plug(("leaf-01-1", port + 1), hall.unplug("leaf-01-1", port))
    report = hall.report()
    assert [finding.kind for finding in report.findings] == ["moved"]
    assert report.findings[0].text.endswith(" — 3 cables shifted")
    assert [port for _, port in report.findings[0].ports] == [2, 3, 4, 5]


def test_a_cable_in_the_port_of_a_missing_one_is_two_findings(hall: Hall) -> None:
    hall.unplug("leaf-01-1", 3)
    hall.plug(("leaf-01-1", 3), hall.unplug("leaf-01-1", 2))
    assert hall.said() == [
        "gpu03 mlx5_0: planned leaf-01-1 port 3, found nothing",
        (
            "leaf-01-1 port 2: planned gpu02 mlx5_0, found nothing; "
            "leaf-01-1 port 3: planned gpu03 mlx5_0, found gpu02 mlx5_0 — one cable moved"
        ),
    ]


def test_a_cable_that_nobody_planned_is_surplus(hall: Hall) -> None:
    hall.plug(("leaf-01-1", 60), ("leaf-02-2", 61))
    assert hall.said() == ["leaf-01-1 port 60: planned nothing, found leaf-02-2 port 61"]
    assert hall.report().findings[0].kind == "surplus"


@pytest.mark.parametrize(("text", "rate"), [("4xHDR", 200), ("2xNDR", 200), ("1xNDR", 100), ("4xSDR", 10)])
def test_a_link_that_came_up_slower_is_wrong(hall: Hall, text: str, rate: int) -> None:
    hall.slow("leaf-01-1", 2, text)
    assert hall.said() == [f"leaf-01-1 port 2: planned 400 Gb/s to gpu02 mlx5_0, found {rate} Gb/s ({text})"]


def test_a_faster_link_is_not_wrong_and_an_unknown_rate_is_a_note(hall: Hall) -> None:
    hall.slow("leaf-01-1", 2, "4xXDR")
    hall.slow("leaf-01-1", 3, "4x???")
    hall.slow("leaf-01-1", 4, "")
    report = hall.report()
    assert report.findings == ()
    assert report.notes == (
        "the rate of 2 cables is not known: this ibnetdiscover has no word for it — take a newer one",
    )


def test_on_a_simulator_rates_stand_for_higher_ones() -> None:
    plan = fabric()
    text = ibnet.write(plan, divisor=2)
    assert not compare(plan, ibnet.parse(text), divisor=2).findings
    assert len(compare(plan, ibnet.parse(text)).findings) == len(plan.cables)
    slow = text.replace('"gpu01 mlx5_0" lid 0 4xHDR', '"gpu01 mlx5_0" lid 0 4xEDR')
    assert [finding.text for finding in compare(plan, ibnet.parse(slow), divisor=2).findings] == [
        "leaf-01-1 port 1: planned 400 Gb/s to gpu01 mlx5_0, found 4xEDR, which stands for 200 Gb/s"
    ]


def test_a_host_that_is_off_is_one_finding(hall: Hall) -> None:
    hall.remove("gpu03 mlx5_0")
    hall.remove("gpu03 mlx5_1")
    assert hall.said() == ["gpu03: none of its 2 adapters was found (leaf-01-1 port 3, leaf-01-2 port 3) — is it off?"]


def test_a_switch_that_is_off_is_one_finding_with_all_that_hangs_on_it(hall: Hall) -> None:
    hall.remove("leaf-01-2")
    assert hall.said() == ["leaf-01-2: not found, and so none of its 6 cables — is it off, or cut off?"]


def test_an_unknown_node_is_named_with_its_ports(hall: Hall) -> None:
    hall.add(Found(id="H-00000000000000aa", kind="ca", name="storage09 mlx5_0", ports=1))
    hall.plug(("storage09 mlx5_0", 1), ("leaf-02-1", 9))
    assert hall.said() == [
        '"storage09 mlx5_0" (0x00000000000000aa): in no plan, found in leaf-02-1 port 9: planned nothing'
    ]


def test_nodes_that_nobody_named_are_told_by_their_ports(hall: Hall) -> None:
    for switch in hall.plan.switches:
        hall.rename(switch.name, "Quantum Mellanox Technologies")
    report = hall.report()
    assert report.right == 24
    assert [finding.kind for finding in report.findings] == ["renamed"] * 6
    assert report.findings[0].text.startswith('leaf-01-1: leaf-01-1 is called "Quantum Mellanox Technologies" (0x')


def test_the_adapters_of_one_unnamed_host_are_one_finding(hall: Hall) -> None:
    hall.rename("gpu02 mlx5_0", "MT4129 ConnectX7 A")
    hall.rename("gpu02 mlx5_1", "MT4129 ConnectX7 B")
    (finding,) = hall.report().findings
    assert finding.kind == "renamed"
    assert finding.text.startswith('gpu02: gpu02 mlx5_0 is called "MT4129 ConnectX7 A" (0x')


def test_two_nodes_of_one_name_are_told_apart_by_their_ports(hall: Hall) -> None:
    hall.rename("gpu02 mlx5_0", "gpu01 mlx5_0")
    (finding,) = hall.report().findings
    assert (finding.kind, finding.where) == ("renamed", "gpu02")


@pytest.mark.parametrize("name", ["MF0;leaf-01-1:MQM9700/U1", "leaf-01-1"])
def test_a_managed_switch_says_its_name_in_its_own_way(hall: Hall, name: str) -> None:
    hall.rename("leaf-01-1", name)
    hall.rename("gpu01 mlx5_0", "gpu01.dc1.example.net mlx5_0")
    assert hall.said() == []


def test_the_aggregation_node_of_a_switch_is_no_surplus(hall: Hall) -> None:
    hall.add(Found(id="H-00000000000000ff", kind="ca", name="Mellanox Technologies Aggregation Node", ports=1))
    hall.plug(("Mellanox Technologies Aggregation Node", 1), ("leaf-01-1", 65))
    assert hall.said() == []


def test_guids_of_the_plan_decide_before_names() -> None:
    hall = Hall(fabric())
    one, other = hall.nodes["gpu01 mlx5_0"], hall.nodes["gpu02 mlx5_0"]
    hall.nodes["gpu01 mlx5_0"] = replace(one, name=other.name)
    hall.nodes["gpu02 mlx5_0"] = replace(other, name=one.name)
    assert [(finding.kind, finding.where) for finding in hall.report().findings] == [
        ("renamed", "gpu01"),
        ("renamed", "gpu02"),
    ]


def test_an_adapter_of_the_right_name_with_another_guid_was_replaced() -> None:
    hall = Hall(fabric())
    hall.nodes["gpu01 mlx5_0"] = replace(
        hall.nodes["gpu01 mlx5_0"], id="H-00000000000000ee", port_guids=("00000000000000ef",)
    )
    (finding,) = hall.report().findings
    assert finding.kind == "replaced"
    assert "has GUID 0x00000000000000ef, planned 0xe41d2d0000110103" in finding.text


def test_findings_come_in_the_order_of_switches_and_ports(hall: Hall) -> None:
    for port in (3, 1, 2):
        hall.slow("leaf-02-1", port, "1xNDR")
    hall.unplug("leaf-01-1", 34)
    hall.plug(("leaf-01-1", 60), ("leaf-01-2", 60))
    assert [finding.where for finding in hall.report().findings] == [
        "leaf-01-1 port 60",
        "leaf-02-1 port 1",
        "leaf-02-1 port 2",
        "leaf-02-1 port 3",
        "spine-002 port 1",
    ]


def test_a_tangle_is_told_whole_and_without_an_error(hall: Hall) -> None:
    """Cables torn out and put back anywhere: whatever is found, each wrong port is in some finding."""
    for seed in range(40):
        chance = random.Random(seed)
        spoilt = Hall(hall.plan)
        ends = sorted(end for link in spoilt.links for end in link)
        chance.shuffle(ends)
        for one, other in zip(ends[: len(ends) // 2], ends[len(ends) // 2 :], strict=True):
            for end in (one, other):
                if any(end in link for link in spoilt.links) and chance.random() < 0.7:
                    spoilt.unplug(*end)
            if not any({one, other} & link for link in spoilt.links) and chance.random() < 0.7:
                spoilt.plug(one, other)
        report = spoilt.report()
        wrong = len({frozenset({(c.a, c.a_port), (c.b, c.b_port)}) for c in hall.plan.cables} - spoilt.links.keys())
        assert report.planned - report.right == wrong
        assert bool(report.findings) == bool(wrong or len(spoilt.links) != report.right)


FAULTS = ("swapped", "missing", "surplus", "down-rated", "moved", "unknown", "renamed", "absent")


def spoil(
    hall: Hall, kind: str, chance: random.Random, whole: list[Cable], hosts: list[str], free: list[int]
) -> Finding:
    """Inject one fault where nothing is wrong yet, and return what must be found: kind, place and ports."""

    def upper(cable: Cable) -> tuple[str, int]:
        return (cable.b, cable.b_port)

    def fresh() -> tuple[str, int]:
        return (chance.choice(["leaf-01-1", "leaf-02-2", "spine-001", "leaf-03-4"]), free.pop())

    if kind in ("renamed", "absent"):
        host = hosts.pop()
        mine = [cable for cable in whole if cable.a.startswith(f"{host} ")]
        for cable in mine:
            whole.remove(cable)
            if kind == "absent":
                hall.remove(cable.a)
            else:
                hall.rename(cable.a, f"MT4129 ConnectX7 {chance.random()}")
        ports = ((host, 0),) if kind == "absent" else tuple((cable.a, 0) for cable in mine)
        return Finding(kind=kind, where=host, text="", ports=ports)  # type: ignore[arg-type]
    if kind in ("surplus", "unknown"):
        one, other = fresh(), fresh()
        if kind == "unknown":
            other = (f"stranger {one}", 1)
            hall.add(Found(id=f"H-{free[-1]:016x}", kind="ca", name=other[0], ports=1))
        hall.plug(one, other)
        ports = tuple(sorted({one, other})[:1]) if kind == "surplus" else (one,)
        return Finding(kind=kind, where="", text="", ports=ports)  # type: ignore[arg-type]
    cable = whole.pop()
    if kind == "swapped":
        second = next(other for other in whole if other.layer == cable.layer and other.b != cable.b)
        whole.remove(second)
        hall.swap(upper(cable), upper(second))
        return Finding(kind="swapped", where="", text="", ports=tuple(sorted([upper(cable), upper(second)])))
    if kind == "moved":
        to = fresh()
        hall.plug(to, hall.unplug(*upper(cable)))
        return Finding(kind="moved", where="", text="", ports=tuple(sorted([upper(cable), to])))
    if kind == "missing":
        hall.unplug(*upper(cable))
    else:
        hall.slow(*upper(cable), chance.choice(["4xHDR", "1xNDR", "4xSDR"]))
    return Finding(kind=kind, where="", text="", ports=(upper(cable),))  # type: ignore[arg-type]


@pytest.mark.parametrize("guids", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_faults_at_random_are_found_exactly(seed: int, guids: bool) -> None:
    chance = random.Random(seed)
    plan = fabric(units=3, nodes=8, rails=4, spines=6, guids=guids)
    hall = Hall(plan)
    hosts = sorted({adapter.host for adapter in plan.adapters})
    chance.shuffle(hosts)
    doomed = set(hosts[-8:])  # a fault may take a whole one of these, so no other is on their cables
    whole = list(plan.cables)
    chance.shuffle(whole)
    whole.sort(key=lambda cable: cable.a.split()[0] not in doomed)
    free = list(range(63, 40, -1))
    kinds = [chance.choice(FAULTS) for _ in range(chance.randint(1, 8))]
    wanted = [spoil(hall, kind, chance, whole, hosts, free) for kind in kinds]

    def shape(finding: Finding) -> tuple[str, tuple[tuple[str, int], ...]]:
        return finding.kind, tuple(sorted(finding.ports))

    assert sorted(map(shape, hall.report().findings)) == sorted(map(shape, wanted)), kinds


def test_a_large_fabric_is_compared_in_seconds() -> None:
    from tests.fabric.test_racks import superpod

    plan = superpod(512)
    report = compare(plan, ibnet.parse(ibnet.write(plan)))
    assert (report.findings, report.planned) == ((), len(plan.cables))
