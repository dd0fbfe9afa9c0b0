"""The policy pack under the real CLI: a good spec passes the preview, a bad one does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.specs import KEY
from platform_iac.spec.load import STACKS
from tests.provider.project import Project
from tests.twin.stack import TOP, Done, Stack

pytestmark = pytest.mark.engine

LATE = """\
import pulumi
from platform_iac.components.resources import Key, Role
late = Key("late", length=16).value
files = {"/etc/ssh/sshd_config.d/10-platform.conf": {"content": pulumi.Output.concat("PermitRootLogin ", late)}}
Role("base", {"role": "base", "files": files, "hosts": {"h1": {"address": "192.0.2.1"}}, "secrets": {}})
"""
TWO_CONTROLLERS = """
pools:
  ctl: {hosts: "ctl[01-02]"}
scheduler: {state_directory: /var/spool/slurm}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """The stack `falcon` from a folder of the test's own, where its spec may be changed."""
    if shutil.which("pulumi") is None:
        pytest.fail("the Pulumi CLI is not on PATH — `source tools/env.sh`")
    specs = tmp_path / "specs"
    specs.mkdir()
    for path in STACKS.glob("*falcon*"):
        shutil.copy(path, specs)
    with (specs / "falcon.known_hosts").open("a") as keys:
        keys.write(f"ctl02 {KEY}\n")
    spec = specs / "changed.yaml"
    spec.write_text("extends: falcon.yaml\n")
    home = tmp_path / "home"
    home.mkdir()
    return Stack("falcon", spec, home, lab="none", ssh_config=specs / "falcon.ssh_config")


def preview(stack: Stack, changed: str = "") -> Done:
    stack.spec.write_text("extends: falcon.yaml\n" + changed)
    return stack.run("preview", "--policy-pack", str(TOP / "policies"))


def test_a_preview_judges_each_resource_and_the_whole_stack(stack: Stack) -> None:
    said = preview(stack).ok().output
    assert "platform-iac@v" in said
    assert "slurm-munge-age: munge.key: could not judge" in said
    assert "mandatory " not in said

    bad = preview(stack, "scheduler: {memory_reserved_gib: 0}\n")
    assert bad.rc != 0
    assert "mandatory slurm-headroom: slurm_controller: gpu[001-031]: jobs may take 2097152 of" in bad.output
    assert "preview failed" in bad.output

    apart = preview(stack, TWO_CONTROLLERS)
    assert apart.rc != 0
    assert "mandatory slurm-shared-state: stack: ctl[01-02]: StateSaveLocation=/var/spool/slurm" in apart.output


def test_a_mandatory_rule_that_could_not_judge_refuses_the_preview(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.make()
    (tmp_path / "__main__.py").write_text(LATE)
    said = project.run("preview", "--stack", "test", "--policy-pack", str(TOP / "policies"), fails=True)
    assert "mandatory hosts-sshd-root: base: could not judge" in said
    assert "preview failed" in said
