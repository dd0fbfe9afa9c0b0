from __future__ import annotations

from platform_iac.spec.changes import changes
from platform_iac.spec.load import loads
from platform_iac.spec.model import Platform

SPEC = """\
apiVersion: platform-iac/v1
name: lab
sites: {dc: {kind: lab, domain: a.b, network: 10.0.0.0/24}}
pools:
  gpu: {site: dc, duty: compute, hosts: "gpu[1-2]", addresses: 10.0.0.5, hardware: {like: dgx-h100, memory_gib: 4}}
teams: {vision: {share: 3, members: {alice: {uid: 20001}}}}
"""
OTHER_SITE = "kind: onprem, access: {ssh_config: /etc/a, known_hosts: /etc/b}"


def after(*replacements: tuple[str, str]) -> list[tuple[str, str]]:
    text = SPEC
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return [(str(change).split()[0], change.impact) for change in changes(loads(SPEC), loads(text))]


def test_equal_specs_have_no_changes() -> None:
    assert changes(loads(SPEC), loads(SPEC)) == ()


def test_every_change_says_its_impact() -> None:
    assert after(("share: 3", "share: 5"), ("memory_gib: 4", "memory_gib: 8"), ("uid: 20001", "uid: 20002")) == [
        ("pools.gpu.hardware.memory_gib", "drain"),
        ("teams.vision.share", "reconfigure"),
        ("teams.vision.members.alice.uid", "forbidden"),
    ]


def test_more_hosts_of_a_pool_touch_no_other_host() -> None:
    assert after(("gpu[1-2]", "gpu[1-3]")) == [("pools.gpu.hosts", "none")]


def test_a_part_that_is_new_or_gone_is_one_change() -> None:
    old = loads(SPEC)
    new = Platform.model_validate(old.model_dump() | {"teams": {"language": {}}})
    assert [str(change) for change in changes(old, new)] == [
        "teams.vision removed (reconfigure)",
        "teams.language added (reconfigure)",
    ]


def test_another_kind_replaces_the_part() -> None:
    assert after(("kind: lab", OTHER_SITE)) == [("sites.dc", "replace")]


STORED = SPEC.replace(
    "teams:", "  stor: {site: dc, duty: storage, hosts: stor1, addresses: 10.0.0.9, hardware: nvme-server}\nteams:"
)
PARTS = """\
storage:
  home: {kind: nfs, mount: /home, purpose: home, served_by: {pool: stor}}
  data: {kind: nfs, mount: /d, purpose: datasets, server: {profile: netapp, addresses: [10.0.0.8], export: /d}}
scheduler: {kind: slurm, partitions: {gpu: {pools: [gpu], default: true}}}
services: {mlflow: {kind: mlflow}}
"""


def of_parts(old: str, new: str) -> list[str]:
    assert old in PARTS
    texts = STORED + PARTS, STORED + PARTS.replace(old, new)
    return [str(change) for change in changes(*(loads(text) for text in texts))]


def test_a_part_of_another_kind_is_no_milder_than_its_kind_says() -> None:
    home = PARTS.splitlines()[1] + "\n"
    assert of_parts(home, "  home: {kind: scratch, pools: [gpu]}\n") == ["storage.home changed (replace)"]


def test_what_holds_data_or_jobs_is_not_taken_out_lightly() -> None:
    _, home, data, scheduler, services = PARTS.splitlines(keepends=True)
    assert of_parts(home, "") == ["storage.home removed (replace)"]
    assert of_parts(data, "") == ["storage.data removed (drain)"], "another system serves it"
    assert of_parts(scheduler, "") == ["scheduler removed (drain)"]
    assert of_parts(services, "") == ["services.mlflow removed (replace)"]
    assert of_parts("mlflow: {", "tracking: {") == [
        "services.mlflow removed (replace)",
        "services.tracking added (restart)",
    ]


def test_what_comes_is_what_its_section_says() -> None:
    old, new = STORED, STORED + PARTS
    assert [change.impact for change in changes(loads(old), loads(new))] == ["drain", "drain", "restart", "restart"]
