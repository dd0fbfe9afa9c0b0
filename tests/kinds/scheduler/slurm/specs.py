"""Specs that the tests of Slurm share."""

from __future__ import annotations

from functools import cache

from platform_iac.plan.make import make
from platform_iac.plan.model import File, Plan, Run
from platform_iac.spec.load import loads

TWIN = """
apiVersion: platform-iac/v1
name: twin
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.77.0.0/24}
pools:
  ctl: {site: lab, duty: controller, hosts: ctl01, addresses: 10.77.0.11}
  login: {site: lab, duty: login, hosts: login01, addresses: 10.77.0.12}
  gpu:
    site: lab
    duty: compute
    hosts: "gpu[01-03]"
    addresses: 10.77.0.21
    hardware: {like: dgx-h100, sockets: 1, cores_per_socket: 4, threads_per_core: 1, memory_gib: 4}
scheduler:
  kind: slurm
  partitions:
    gpu: {pools: [gpu], default: true, max_time: 7-00:00:00}
teams:
  vision: {share: 60, gpus: 8, members: {carol: {uid: 20003}, alice: {uid: 20001}}}
  language: {share: 40, members: {bob: {uid: 20002}}}
"""

METAL = """
apiVersion: platform-iac/v1
name: falcon
sites:
  dc1:
    kind: onprem
    domain: dc1.example.net
    network: 10.20.0.0/16
    access: {ssh_config: falcon.ssh_config, known_hosts: falcon.known_hosts}
pools:
  ctl: {site: dc1, duty: controller, hosts: "ctl[01-02]", addresses: 10.20.0.11}
  login: {site: dc1, duty: login, hosts: "login[01-02]", addresses: 10.20.0.21}
  h100: {site: dc1, duty: compute, hosts: "gpu[001-031]", addresses: 10.20.1.1, hardware: dgx-h100}
  a100: {site: dc1, duty: compute, hosts: "old[01-02]", addresses: 10.20.2.254, hardware: dgx-a100}
  cpu: {site: dc1, duty: compute, hosts: "cpu[01-04]", addresses: 10.20.4.1, hardware: cpu-server}
scheduler:
  kind: slurm
  state_directory: /shared/slurm
  memory_reserved_gib: 32
  partitions:
    batch: {pools: [h100, a100], default: true, max_time: 2-00:00:00}
    prep: {pools: [cpu], max_time: 12:00:00, priority: 5, teams: [vision]}
  qos:
    normal: {priority: 100}
    urgent: {priority: 1000, max_wall: 36:00:00, max_gpus_per_user: 16, max_jobs_per_user: 4, preempts: [normal]}
teams:
  vision: {share: 30, gpus: 64, members: {alice: {uid: 20001}}}
"""

SPECS = {"twin": TWIN, "falcon": METAL}


@cache
def plan(text: str) -> Plan:
    """Return the plan of a spec."""
    return make(loads(text))


def run(text: str, name: str) -> Run:
    """Return one run of a spec's plan."""
    return next(run for run in plan(text).runs if run.name == name)


def file(run: Run, path: str, host: str = "") -> File:
    """Return one file of a run, or of one of its hosts."""
    return next(file for file in (*run.files, *run.host_files.get(host, ())) if file.path == path)
