"""Two twins play staging and production: what is promoted, what is refused, and what the evidence says."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from platform_iac.promotion import release, signature
from tests.twin import cleanup
from tests.twin.stack import TOP
from tests.twin_support.machines import Done, call

pytestmark = [pytest.mark.twin, pytest.mark.timeout(1500)]

BASE = """\
apiVersion: platform-iac/v1
name: tiny
sites: {{lab: {{kind: lab, domain: lab.example.net, network: 10.91.{number}.0/24}}}}
pools:
  infra: {{site: lab, duty: mirror, hosts: mirror01, addresses: 10.91.{number}.10}}
teams: {{vision: {{members: {{alice: {{uid: 20001}}}}}}}}
"""
OVERLAY = """\
extends: base.yaml
name: {name}
environment: {environment}
sites: {{lab: {{network: 10.91.{number}.0/24}}}}
pools: {{infra: {{addresses: 10.91.{number}.10}}}}
promotion: {promotion}
"""


@dataclass(frozen=True, slots=True)
class Repository:
    """A checkout of its own with two environments, a Pulumi backend, and the keys of two people."""

    top: Path
    home: Path
    staging: str
    production: str

    @property
    def log(self) -> Path:
        return self.top / "evidence" / "log.jsonl"

    @property
    def entries(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def env(self) -> dict[str, str]:
        return {
            "PULUMI_BACKEND_URL": f"file://{self.home / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.home / "passphrase"),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "TMPDIR": str(self.home / "tmp"),
            "XDG_STATE_HOME": str(self.home / "state"),
        }

    def run(self, *arguments: str) -> Done:
        """Run `platform-iac` in this checkout."""
        argv = [sys.executable, "-m", "platform_iac.cli", *arguments]
        return call(argv, timeout=600, cwd=self.top, env=self.env)

    def promote(self, stack: str, *options: str, by: str = "alice") -> Done:
        return self.run("promote", "--to", stack, "--key", str(self.home / by), *options)

    def commit(self, message: str) -> None:
        who = ["-c", "user.name=alice", "-c", "user.email=alice@example.net"]
        call(["git", "add", "-A"], timeout=60, cwd=self.top).ok()
        call(["git", *who, "commit", "-q", "-m", message], timeout=60, cwd=self.top).ok()

    def ssh(self, stack: str, command: str) -> str:
        config = self.home / "state" / "platform-iac" / "labs" / f"{stack}-lab" / "ssh_config"
        return call(["ssh", "-F", str(config), "mirror01", "--", command], timeout=60).ok()

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.top / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    mark = secrets.token_hex(2)
    home = tmp_path_factory.mktemp("promotion")
    top = home / "checkout"
    unrelated = shutil.ignore_patterns("__pycache__", "stacks")
    top.mkdir()
    for part in (*release.DECIDES, ".gitignore", "README.md"):
        if (TOP / part).is_dir():
            shutil.copytree(TOP / part, top / part, ignore=unrelated)
        elif (TOP / part).is_file():
            shutil.copy(TOP / part, top / part)
    (top / ".venv").symlink_to(sys.prefix)
    made = Repository(top, home, f"stg-{mark}", f"prd-{mark}")
    _stacks(made)
    _people(made)
    for folder in ("backend", "tmp", "state"):
        (home / folder).mkdir(mode=0o700, exist_ok=True)
    (home / "passphrase").write_text("this backend lives as long as its test\n")
    call(["git", "init", "-q"], timeout=60, cwd=top).ok()
    with (top / ".git" / "info" / "exclude").open("a") as exclude:
        exclude.write("/.venv\n")
    made.commit("first")
    with (
        cleanup.of_lab(f"{made.staging}-lab", home / "state"),
        cleanup.of_lab(f"{made.production}-lab", home / "state"),
    ):
        yield made


def _stacks(made: Repository) -> None:
    folder = made.top / "stacks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "base.yaml").write_text(BASE.format(number=1))
    environments = (
        (made.staging, "staging", 2, "{}"),
        (
            made.production,
            "production",
            3,
            f'{{after: {made.staging}, approvals: 1, may_differ: [name, "sites.*.network", "pools.*.addresses"]}}',
        ),
    )
    for name, environment, number, promotion in environments:
        text = OVERLAY.format(name=name, environment=environment, number=number, promotion=promotion)
        (folder / f"{name}.yaml").write_text(text)


def _people(made: Repository) -> None:
    lines = []
    for name in ("alice", "bob"):
        key = made.home / name
        call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], timeout=30).ok()
        public = key.with_suffix(".pub").read_text()
        lines.append(f'{name}@example.net namespaces="{signature.NAMESPACE}" {public}')
    (made.top / "evidence").mkdir()
    (made.top / "evidence" / "allowed_signers").write_text("".join(lines))


def test_nothing_reaches_production_before_staging_and_an_approval(repository: Repository) -> None:
    done = repository.promote(repository.production)
    assert done.rc == 1, done.text
    assert f"nothing was promoted to `{repository.staging}` yet" in done.text
    assert "0 of 1 approvals" in done.text
    assert repository.entries == []


def test_a_good_release_goes_through_both(repository: Repository) -> None:
    first = repository.promote(repository.staging)
    assert first.rc == 0, first.text
    repository.run("approve", "--to", repository.production, "--key", str(repository.home / "bob")).ok()
    done = repository.promote(repository.production)
    assert done.rc == 0, done.text
    assert [(entry["action"], entry["stack"], entry["passed"]) for entry in repository.entries] == [
        ("promote", repository.staging, True),
        ("approve", repository.production, True),
        ("promote", repository.production, True),
    ]
    assert len({entry["release"] for entry in repository.entries}) == 1
    assert repository.entries[2]["checks"]["passed"] > 0  # type: ignore[index]
    assert repository.entries[2]["policies"]["rules"] > 40  # type: ignore[index]
    assert "alice" in repository.ssh(repository.production, "getent passwd alice")
    repository.commit("evidence of the first release")


def test_a_checkout_with_changes_is_refused(repository: Repository) -> None:
    (repository.top / "README.md").write_text("not committed\n")
    done = repository.promote(repository.staging)
    assert done.rc == 1
    assert "README.md" in done.text
    call(["git", "checkout", "-q", "README.md"], timeout=30, cwd=repository.top).ok()


def test_a_bad_release_stops_in_staging_and_production_is_untouched(repository: Repository) -> None:
    before = repository.ssh(repository.production, "sha256sum /etc/chrony/chrony.conf")
    template = "roles/base/templates/chrony.conf.j2"
    path = repository.top / template
    path.write_text(path.read_text() + "no such directive\n")
    repository.commit("a mistake")
    done = repository.promote(repository.staging)
    assert done.rc == 1, done.text
    assert "FAILED, recorded" in done.text
    repository.run("approve", "--to", repository.production, "--key", str(repository.home / "bob")).ok()
    refused = repository.promote(repository.production)
    assert refused.rc == 1, refused.text
    assert f"failed in `{repository.staging}`" in refused.text
    assert repository.ssh(repository.production, "sha256sum /etc/chrony/chrony.conf") == before
    repository.commit("evidence of the mistake")


def test_a_rollback_brings_the_former_release_back_with_its_own_code(repository: Repository) -> None:
    good = repository.entries[0]
    done = repository.promote(repository.staging, "--rollback")
    assert done.rc == 0, done.text
    last = repository.entries[-1]
    assert (last["action"], last["release"], last["commit"]) == ("rollback", good["release"], good["commit"])
    assert "no such directive" not in repository.ssh(repository.staging, "cat /etc/chrony/chrony.conf")
    assert repository.ssh(repository.staging, "systemctl is-active chrony.service").strip() == "active"
    left = call(["git", "worktree", "list"], timeout=30, cwd=repository.top).ok()
    assert len(left.splitlines()) == 1, left
    repository.commit("evidence of the rollback")


def test_drift_below_stops_a_promotion_and_the_verb_names_it(repository: Repository) -> None:
    path = repository.top / "roles/base/templates/chrony.conf.j2"
    path.write_text(path.read_text().replace("no such directive\n", ""))
    repository.edit("stacks/base.yaml", "uid: 20001", "uid: 20002")
    repository.commit("a mended release")
    assert repository.promote(repository.staging).rc == 1, "a uid cannot be changed on a running host"
    repository.edit("stacks/base.yaml", "uid: 20002", "uid: 20001")
    repository.commit("as it was")
    repository.promote(repository.staging).ok()
    repository.run("approve", "--to", repository.production, "--key", str(repository.home / "bob")).ok()
    repository.ssh(repository.staging, "echo '# by hand' >> /etc/chrony/chrony.conf")
    refused = repository.promote(repository.production)
    assert refused.rc == 1, refused.text
    assert f"`{repository.staging}` drifted: mirror01: file /etc/chrony/chrony.conf: content differs" in refused.text
    told = repository.run("drift", repository.staging, "--json")
    assert told.rc == 1
    (found,) = json.loads(told.text)
    assert (found["host"], found["thing"]) == ("mirror01", "file /etc/chrony/chrony.conf")
    assert "+# by hand" in found["said"]
    repository.promote(repository.staging).ok()
    assert repository.run("drift", repository.staging).ok() == "No host differs from what was applied.\n"
    repository.promote(repository.production).ok()
    repository.commit("evidence of the second release")


def test_a_tampered_log_is_refused_before_anything_is_touched(repository: Repository) -> None:
    text = repository.log.read_text()
    for tampered in (text.replace('"passed":false', '"passed":true'), "".join(text.splitlines(keepends=True)[:-1])):
        repository.log.write_text(tampered)
        done = repository.promote(repository.staging)
        assert done.rc == 2, done.text
        assert "the log does not begin with the one that is committed" in done.text
    repository.log.write_text(text)


def test_both_environments_go_down_without_a_trace(repository: Repository) -> None:
    for stack in (repository.staging, repository.production):
        repository.run("down", stack).ok()
    labs = repository.home / "state" / "platform-iac" / "labs"
    assert [path.name for path in labs.iterdir() if path.is_dir()] == []
    assert repository.staging not in call(["ip", "netns"], timeout=30).ok()
    assert list((repository.home / "tmp").iterdir()) == []
