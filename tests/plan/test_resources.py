"""Resources keep their names whatever else comes: one that loses its name is torn down."""

from __future__ import annotations

import pytest

from platform_iac.plan.make import make
from platform_iac.plan.model import Plan
from platform_iac.plan.resources import ROLE, by_site, declared, former_names, home
from platform_iac.spec.load import loads

ACCESS = "access: {ssh_config: stacks/falcon.ssh_config, known_hosts: stacks/falcon.known_hosts}"
SITES = {
    "mid": f"  mid: {{kind: onprem, domain: mid.example.net, network: 10.20.0.0/16, {ACCESS}}}\n",
    "OTHER": f"  OTHER: {{kind: onprem, domain: far.example.net, network: 10.30.0.0/16, {ACCESS}}}\n",
}
POOLS = {
    "mid": """\
  login: {site: mid, duty: login, hosts: login01, addresses: 10.20.0.12}
  dgx: {site: mid, duty: edge, hosts: "dgx[01-02]", addresses: 10.20.0.21, hardware: dgx-h100}
""",
    "OTHER": """\
  infra: {site: OTHER, duty: mirror, hosts: mirror02, addresses: 10.30.0.10}
  more: {site: OTHER, duty: edge, hosts: "far[01-02]", addresses: 10.30.0.21, hardware: dgx-h100}
""",
}


def plan(*sites: str, pools: tuple[str, ...] = (), other: str = "zzz") -> Plan:
    """Return the plan of these sites in this order, with the pools of all or of some."""
    text = "apiVersion: platform-iac/v1\nname: metal\nsites:\n" + "".join(SITES[site] for site in sites)
    text += "pools:\n" + "".join(POOLS[site] for site in pools or sites)
    return make(loads(text.replace("OTHER", other)))


def names(plan: Plan) -> set[str]:
    return {each.name for each in declared(plan) if each.type == ROLE}


@pytest.mark.parametrize("other", ["aaa", "zzz"])
def test_a_second_site_renames_nothing_of_the_first(other: str) -> None:
    alone, both = names(plan("mid")), names(plan("mid", "OTHER", other=other))
    assert alone == {"base", "gpu"}
    assert both == alone | {f"base@{other}", f"gpu@{other}", f"mirror@{other}"}


def test_a_run_of_the_second_site_alone_has_its_name() -> None:
    both = plan("mid", "OTHER")
    assert [by_site(both, run) for run in both.runs if run.name == "mirror"] == [[("mirror@zzz", "zzz")]]


def test_a_first_site_that_is_given_up_leaves_in_two_steps() -> None:
    both = plan("mid", "OTHER")
    emptied = plan("mid", "OTHER", pools=("OTHER",))
    assert names(emptied) == {name for name in names(both) if "@" in name}
    assert home(emptied) == {"site": "mid", "hosts": []}
    alone = plan("OTHER")
    formers = {former for run in alone.runs for former in former_names(alone, run, "zzz")}
    assert formers == names(emptied)
    assert names(alone) == {name.partition("@")[0] for name in formers}


def test_only_the_first_site_takes_over_a_former_name() -> None:
    both = plan("mid", "OTHER")
    (base,) = [run for run in both.runs if run.name == "base"]
    assert former_names(both, base, "mid") == ("base@mid",)
    assert former_names(both, base, "zzz") == ()
