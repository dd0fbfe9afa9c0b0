"""Playbook and inventory as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from platform_iac.provider import reach
from platform_iac.provider.runner import play
from platform_iac.provider.runner.play import Job

INPUTS: dict[str, Any] = {
    "role": "gpu",
    "packages": ["nvidia"],
    "users": {},
    "files": {"/etc/a": {"content": "{{ x }}", "mode": "0400"}},
    "vars": {"driver": "real"},
    "hosts": {"one": {"vars": {"gpus": 4}, "files": {"/etc/b": {"content": "b"}}}, "two": {}},
    "sshConfig": "local",
    "secrets": {"db": "canary"},
}
TARGETS = {name: reach.target(name, {}, reach.LOCAL) for name in INPUTS["hosts"]}


def inventory(job: Job) -> Any:
    return json.loads(play.inventory(job, TARGETS, Path("/run/x")))["all"]


def test_hosts_share_what_is_common_and_have_their_own() -> None:
    found = inventory(Job(INPUTS, ("one", "two")))
    assert found["vars"]["gpu_packages"] == ["nvidia"]
    assert found["vars"]["gpu_driver"] == "real"
    assert "gpu_users" not in found["vars"]
    assert found["hosts"]["one"]["gpu_gpus"] == 4
    assert found["hosts"]["one"][play.OWN] == {"/etc/b": {"content": "b"}}


def test_text_that_looks_like_a_template_is_marked_as_text_and_modes_stay_text() -> None:
    shipped = inventory(Job(INPUTS, ("one",)))["vars"][play.COMMON]["/etc/a"]
    assert shipped == {"content": {"__ansible_unsafe": "{{ x }}"}, "mode": "0400"}


def test_only_the_hosts_of_the_job_are_in_it_and_no_secret_is() -> None:
    found = inventory(Job(INPUTS, ("two",)))
    assert found["hosts"].keys() == {"two"}
    assert "canary" not in json.dumps(found)
    assert "canary" not in play.playbook(Job(INPUTS, ("two",)))


def test_teardown_is_the_role_s_own_moment() -> None:
    (tearing,) = json.loads(play.playbook(Job(INPUTS, ("one",), teardown=True)))
    assert tearing["tasks"][0]["ansible.builtin.include_role"]["tasks_from"] == "teardown.yml"
    assert tearing["gather_facts"] is False


def test_units_follow_files_that_an_earlier_run_removed() -> None:
    stale = {"one": {"files": {"/etc/b": {"content": "b"}}, "watchers": {"a.service": {"restart_on": ["/etc/b"]}}}}
    (playing,) = json.loads(play.playbook(Job(INPUTS, ("one",), stale=stale)))
    assert playing["tasks"][-1]["host_units"] == {
        "units": "{{ platform_iac_stale.watchers }}",
        "changed_paths": "{{ platform_iac_stale.files | list }}",
    }


def test_a_role_is_told_when_it_goes_from_all_its_hosts() -> None:
    assert inventory(Job(INPUTS, ("one",), teardown=True, whole=True))["vars"][play.WHOLE] is True
    assert play.WHOLE not in inventory(Job(INPUTS, ("one",), teardown=True))["vars"]


def test_ssh_verifies_host_keys_and_asks_nothing() -> None:
    found = play.environment(Job(INPUTS | {"sshConfig": "/etc/c"}, ("one",)), Path("/run/x"), Path("/run/s"), "")
    for option in ("-F /etc/c", "StrictHostKeyChecking=yes", "BatchMode=yes", "ControlPersist="):
        assert option in found["ANSIBLE_SSH_ARGS"]
