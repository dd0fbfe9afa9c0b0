"""One Ceph cluster for the tests of this folder: of the cluster itself, and of what lies on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from platform_iac.plan.make import make
from platform_iac.spec.load import loads
from tests.twin_support import machines
from tests.twin_support.ansible import up_to
from tests.twin_support.machines import Lab

SPEC = """
apiVersion: platform-iac/v1
name: roleceph
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.84.0.0/24}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.84.0.10}
  login: {site: lab, duty: login, hosts: "login[01-02]", addresses: 10.84.0.12}
  stor: {site: lab, duty: storage, hosts: "stor[01-03]", addresses: 10.84.0.31}
storage:
  ceph:
    kind: ceph
    pool: stor
    filesystems:
      home: {mount: /home, purpose: home, quotas_gib: {vision: 1}}
      datasets: {mount: /datasets, purpose: datasets, quotas_gib: {vision: 1}}
    s3: {buckets: {models: {quota_gib: 1}, datasets: {quota_gib: 1}}}
services:
  data:
    kind: datasets
    sets:
      pieces:
        version: "1"
        owner: vision
        size_gib: 0.02
        source: {kind: folder, path: /srv/pieces}
        copies:
          outbox:
            kind: sftp
            host: login02.lab.example.net
            user: bob
            key: /srv/outbox-key
            known_hosts: /srv/outbox-known
            path: /home/language/bob/outbox
          s3: {kind: bucket, bucket: datasets, path: pieces}
teams:
  vision: {members: {alice: {uid: 20001}}}
  language: {members: {bob: {uid: 20002}}}
"""
STORAGE = '"stor[01-03]", addresses: 10.84.0.31'
WIDER = SPEC.replace(STORAGE, '"stor[01-04]", addresses: 10.84.0.31')
"""With a host that joins later."""

LATER = SPEC.replace(STORAGE, '"stor[02-04]", addresses: 10.84.0.32')
"""Without the first host: a monitor, a manager, and the one that declared what is in the cluster."""

LOSS_SECONDS = 180
"""Longest that a loss may stop writes here, and that the cluster may take to be whole again; a bound, no promise."""


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """Machines on which the cluster's hosts are prepared, and nothing of Ceph is yet."""
    with machines.lab(WIDER, pip=("boto3",)) as made:
        up_to(made, "ceph_cluster")
        yield replace(made, plan=make(loads(SPEC)))


def wait(what: str, done: Callable[[], bool], *, seconds: float = LOSS_SECONDS) -> float:
    """Wait until something is so, and return the seconds that took."""
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
    return time.monotonic() - begun
