"""The specs that are measured."""

from __future__ import annotations

import json
from pathlib import Path

from ruamel.yaml import YAML

from platform_iac.spec.load import locate

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHhYdgzGF8ktmxaE2gYWNhWkG0sTcMpMTkKTFUnOCQFm"


def onprem(nodes: int, folder: Path = Path("stacks"), access: str = "falcon") -> str:
    """Return the spec of an on-prem Slurm platform with this many eight-GPU nodes."""
    return f"""\
apiVersion: platform-iac/v1
name: large
sites:
  dc1:
    kind: onprem
    domain: dc1.example.net
    network: 10.20.0.0/16
    access: {{ssh_config: {folder / f"{access}.ssh_config"}, known_hosts: {folder / f"{access}.known_hosts"}}}
pools:
  infra: {{site: dc1, duty: mirror, hosts: mirror01, addresses: 10.20.0.10}}
  ctl: {{site: dc1, duty: controller, hosts: ctl01, addresses: 10.20.0.11}}
  login: {{site: dc1, duty: login, hosts: login01, addresses: 10.20.0.12}}
  svc: {{site: dc1, duty: services, hosts: svc01, addresses: 10.20.0.13}}
  gpu: {{site: dc1, duty: compute, hosts: "gpu[0001-{nodes:04}]", addresses: 10.20.8.1, hardware: dgx-h100}}
scheduler: {{kind: slurm, partitions: {{gpu: {{pools: [gpu], default: true}}}}}}
services: {{mlflow: {{kind: mlflow}}}}
teams: {{vision: {{members: {{alice: {{uid: 20001}}}}}}}}
"""


def write_onprem(nodes: int, folder: Path) -> Path:
    """Write that spec with its access files, so that a preview finds a key for every host; nobody logs in."""
    names = ["mirror01", "ctl01", "login01", "svc01", *(f"gpu{number:04}" for number in range(1, nodes + 1))]
    (folder / "large.known_hosts").write_text("".join(f"{name} {KEY}\n" for name in names))
    (folder / "large.ssh_config").write_text("Host *\n  User root\n")
    path = folder / "large.yaml"
    path.write_text(onprem(nodes, Path(), "large"))
    return path


def lab(name: str, nodes: int, network: str) -> str:
    """Return the spec of the stack `lab` under another name, with this many GPU nodes.

    `network` is a /24 by its first three numbers: `10.87.1`. No loopback port is taken.
    """
    spec = YAML(typ="safe").load(locate("lab"))
    site = spec["sites"]["lab"]
    old = site["network"].rpartition(".")[0]
    site |= {"network": f"{network}.0/24", "forwards": {}}
    for pool in spec["pools"].values():
        pool["addresses"] = pool["addresses"].replace(old, network)
    spec["pools"]["gpu"] |= {"hosts": f"gpu[01-{nodes:02}]", "addresses": f"{network}.101"}
    return json.dumps({**spec, "name": name})
