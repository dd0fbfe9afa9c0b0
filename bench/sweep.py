"""How long the real opensm takes to bring up a fabric, engine by engine, where `ibsim` plays switches and adapters."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import get_args

from bench.figure import Figure
from platform_iac.kinds.fabric import _subnet
from tests.twin_support import machines
from tests.twin_support.ansible import play, up_to
from tests.twin_support.machines import Lab

NODES, TIMES = 127, 3
SWEEP_SECONDS = 120
SERVER, MANAGER, LOG = "mirror01", "mgr01", "/var/log/opensm.log"
SPEC = f"""
apiVersion: platform-iac/v1
name: sweep
sites: {{lab: {{kind: lab, domain: lab.example.net, network: 10.94.0.0/24}}}}
fabric: {{kind: infiniband}}
pools:
  infra: {{site: lab, duty: mirror, hosts: {SERVER}, addresses: 10.94.0.10}}
  mgr:
    site: lab
    duty: manager
    hosts: {MANAGER}
    addresses: 10.94.0.11
    hardware:
      like: cpu-server
      nics: [{{kind: infiniband, purpose: compute, product: ConnectX-7, devices: mlx5_0, rate_gbps: 400}}]
  gpu: {{site: lab, duty: compute, hosts: "gpu[001-{NODES:03}]", addresses: 10.94.0.101, hardware: dgx-h100}}
"""


def figures() -> Iterator[Figure | str]:
    """The time of a first sweep by every other engine that a spec may name against minhop's."""
    with machines.lab(SPEC, only=(SERVER, MANAGER)) as lab:
        up_to(lab, "fabric_simulator")
        for run in ("fabric_simulator", "infiniband_manager"):
            play(lab, run).ok()
        taken = {engine: _median(lab, engine) for engine in get_args(_subnet.Engine)}
    plain = taken.pop("minhop")
    for engine, seconds in taken.items():
        yield Figure(
            name=f"opensm brings up {NODES} nodes x 8 rails by {engine} / by minhop",
            ours=seconds,
            plain=plain,
            method=f"Median of {TIMES} first sweeps, from discovery to a subnet that is up, by opensm's own log; "
            "every answer is ibsim's, so this is opensm's and ibsim's work on two cores and no fabric's.",
        )


def _median(lab: Lab, engine: str) -> float:
    lab.ok(MANAGER, f"sed -i 's/^routing_engine .*/routing_engine {engine},no_fallback/' {_subnet.CONF}")
    return sorted(_sweep(lab, engine) for _ in range(TIMES))[TIMES // 2]


def _sweep(lab: Lab, engine: str) -> float:
    """Return the seconds of one first sweep; AssertionError where the subnet does not come up by this engine."""
    lab.ok(MANAGER, f"systemctl stop opensm.service; rm -rf {LOG} /var/cache/opensm/*")
    lab.ok(SERVER, "systemctl restart fabric-simulator.service")
    lab.ok(MANAGER, "until timeout 5 ibstat > /dev/null; do sleep 1; done; systemctl start opensm.service")
    deadline = time.monotonic() + SWEEP_SECONDS
    while "SUBNET UP" not in (log := lab.run(MANAGER, f"cat {LOG}").text):
        assert time.monotonic() < deadline, f"no subnet within {SWEEP_SECONDS} s by {engine}: {log[-1000:]}"
        time.sleep(0.5)
    assert f"{engine} tables configured on all switches" in log, log[-1000:]
    begun, up = (_when(log, what) for what in ("Entering DISCOVERING state", "SUBNET UP"))
    return (up - begun).total_seconds()


def _when(log: str, what: str) -> datetime:
    """The moment of the first line of opensm's log that ends so. It tells no year."""
    found = re.search(rf"^(\w{{3}} \d{{2}} [\d:]{{8}} \d{{6}}) .*{what}$", log, re.MULTILINE)
    assert found, f"{what} is not in: {log[-1000:]}"
    return datetime.strptime(f"2000 {found[1]} +0000", "%Y %b %d %H:%M:%S %f %z")
