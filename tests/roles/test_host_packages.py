"""The module `host_packages` notes what a host has of its own, and no teardown takes it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

ROLES = Path(__file__).resolve().parents[2] / "roles"
EVERY = sorted(path.parents[1].name for path in ROLES.glob("*/tasks/teardown.yml"))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    made = load("plugins/modules/host_packages.py")
    monkeypatch.setattr(made, "NOTE", str(tmp_path / "lib" / "packages"))
    monkeypatch.setattr(made, "MARKS", str(tmp_path / "lib" / "packages-auto"))
    monkeypatch.setattr(made, "OWNER", str(tmp_path / "owner.json"))
    monkeypatch.setattr(made, "OURS", str(tmp_path / "10-platform.conf"))
    return made


@pytest.fixture
def told() -> list[tuple[str, ...]]:
    """What apt and dpkg were asked to change."""
    return []


@pytest.fixture
def host(module: ModuleType, monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, ...]]) -> dict[str, str]:
    """A host's packages with their marks, as apt and dpkg tell and change them. All have the version 1.2-3."""
    packages = {"curl": "manual", "libpam-systemd": "auto", "mdadm": "manual", "udev": "auto"}

    def ask(*command: str) -> list[str]:
        if command[0] == "dpkg-query":
            provides = {"curl": "http-client (= 1), fetcher"}
            rows = [f"{name}\tinstalled\t1.2-3\t{provides.get(name, '')}" for name in packages]
            return [*rows, "gone\tconfig-files\t1\t", "never\tnot-installed\t\tghost"]
        if command[0] == "apt-mark" and command[1].startswith("show"):
            return [name for name in command[2:] or packages if packages.get(name) == command[1].removeprefix("show")]
        told.append(command)
        if command[0] == "apt-mark":
            packages.update(dict.fromkeys(command[4:], command[3]))
        if "purge" in command:
            for name in after(command, "--auto-remove"):
                packages.pop(name, None)
        if "install" in command:
            packages.update(dict.fromkeys((module.split(one)[0] for one in after(command, "install")), "manual"))
        return []

    monkeypatch.setattr(module, "ask", ask)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return packages


def after(command: tuple[str, ...], word: str) -> tuple[str, ...]:
    return command[command.index(word) + 1 :]


def roles_here(module: ModuleType, *roles: str) -> None:
    Path(module.OWNER).write_text(json.dumps({"platform": "p", "roles": roles}))


def read(path: Any) -> list[str]:
    return Path(path).read_text().split()


def test_what_a_host_has_is_noted_once_and_kept_from_autoremove(module: ModuleType, host: dict[str, str]) -> None:
    assert len(module.note(check=False)) == 2
    assert set(host.values()) == {"manual"}
    host |= {"slurmd": "manual", "libmunge2": "auto"}
    assert module.note(check=False) == []
    assert read(module.NOTE) == ["curl", "libpam-systemd", "mdadm", "udev"]
    assert host["libmunge2"] == "auto"


def test_what_was_interrupted_is_finished_by_the_next_run(module: ModuleType, host: dict[str, str]) -> None:
    module.note(check=False)
    host["udev"] = "auto"
    assert module.note(check=False) == ["keep 1 packages that apt would remove by itself"]
    assert host["udev"] == "manual"


def test_the_marks_come_back_when_the_platform_goes(module: ModuleType, host: dict[str, str]) -> None:
    before = dict(host)
    module.note(check=False)
    del host["udev"]
    assert module.forget(check=False)
    assert host == {name: mark for name, mark in before.items() if name != "udev"}
    assert not Path(module.NOTE).exists()
    assert module.forget(check=False) == []


def test_on_a_host_of_an_earlier_version_only_common_packages_are_its_own(
    module: ModuleType, host: dict[str, str]
) -> None:
    Path(module.OURS).touch()
    host["slurmd"] = "manual"
    module.note(check=False)
    assert read(module.NOTE) == ["curl", "mdadm"]


def test_a_dry_run_changes_nothing(module: ModuleType, host: dict[str, str]) -> None:
    before = dict(host)
    assert module.note(check=True)
    assert host == before
    assert not Path(module.NOTE).exists()
    module.note(check=False)
    kept = dict(host)
    assert module.forget(check=True)
    assert host == kept
    assert Path(module.NOTE).exists()


def test_only_what_roles_brought_is_removed(
    module: ModuleType, host: dict[str, str], told: list[tuple[str, ...]]
) -> None:
    module.note(check=False)
    told.clear()
    host |= {"slurmd": "manual", "munge": "manual"}
    done, kept = module.remove(["slurmd=1.2*", "munge", "curl", "gone", "never"], ["munge"], [], check=False)
    assert (done, kept) == (["remove gone slurmd"], ["curl", "munge"])
    assert [after(command, "--auto-remove") for command in told] == [("gone", "slurmd")]
    assert "slurmd" not in host
    assert module.remove(["slurmd", "curl"], [], [], check=False) == ([], ["curl"])
    assert len(told) == 1


def test_what_is_there_costs_no_question_to_a_source(
    module: ModuleType, host: dict[str, str], told: list[tuple[str, ...]]
) -> None:
    names = ["curl", "curl=1.2*", "curl/bookworm", "mdadm:amd64", "http-client", "fetcher"]
    assert module.install(names, check=False) == []
    assert told == []


def test_only_what_is_missing_is_installed(
    module: ModuleType, host: dict[str, str], told: list[tuple[str, ...]]
) -> None:
    done = module.install(["curl", "curl=2*", "slurmd", "gone", "ghost"], check=False)
    assert done == ["install curl=2* slurmd gone ghost"]
    assert [command[-1] for command in told] == ["update", "ghost"]
    assert after(told[-1], "install") == ("curl=2*", "slurmd", "gone", "ghost")
    assert "--no-install-recommends" in told[-1]


def test_what_came_along_with_another_role_is_kept_when_that_one_goes(
    module: ModuleType, host: dict[str, str], told: list[tuple[str, ...]]
) -> None:
    host["rdma-core"] = "auto"
    assert module.install(["rdma-core"], check=False) == ["keep rdma-core, which came with other packages"]
    assert host["rdma-core"] == "manual"
    assert module.install(["rdma-core"], check=False) == []


def test_a_dry_run_asks_no_source(module: ModuleType, host: dict[str, str], told: list[tuple[str, ...]]) -> None:
    host["rdma-core"] = "auto"
    assert module.install(["slurmd", "rdma-core"], check=True) == [
        "install slurmd", "keep rdma-core, which came with other packages",
    ]  # fmt: skip
    assert told == []


@pytest.mark.parametrize("state", ["half-configured", "triggers-pending", "updates"])
def test_what_dpkg_was_interrupted_in_is_finished_first(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "UPDATES", str(tmp_path))
    if state == "updates":
        (tmp_path / "0001").touch()
        state = "installed"

    def ask(*command: str) -> list[str]:
        asked.append(" ".join(command[:2]))
        return [f"slurmd\t{state}\t1\t"] if command[0] == "dpkg-query" else []

    monkeypatch.setattr(module, "ask", ask)
    module.install(["munge"], check=False)
    assert asked[1] == "dpkg --configure"
    assert asked[2] == "apt-get -o"


def test_a_source_that_another_apt_is_at_is_asked_again(
    module: ModuleType, host: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [False] * (module.UPDATE_TRIES - 1) + [True] + [False] * module.UPDATE_TRIES

    def busy(*command: str) -> list[str]:
        if not answers.pop(0):
            raise module.PackageError("apt-get -o: E: Could not get lock /var/lib/apt/lists/lock")
        return []

    monkeypatch.setattr(module, "ask", busy)
    module.update()
    assert len(answers) == module.UPDATE_TRIES
    with pytest.raises(module.PackageError, match="lists/lock"):
        module.update()
    assert answers == []


def test_what_took_the_place_of_a_package_of_the_host_stays(module: ModuleType, host: dict[str, str]) -> None:
    clocks = ["chrony", "ntp", "systemd-timesyncd"]
    module.note(check=False)
    host["chrony"] = "manual"
    assert module.remove(["chrony"], [], clocks, check=True) == (["remove chrony"], [])
    with Path(module.NOTE).open("a") as note:
        note.write("systemd-timesyncd\n")
    assert module.remove(["chrony"], [], clocks, check=False) == ([], ["chrony"])


def test_without_a_note_what_hosts_often_have_stays(module: ModuleType, host: dict[str, str]) -> None:
    host["slurmd"] = "manual"
    assert module.remove(["slurmd", "mdadm"], [], [], check=True) == (["remove slurmd"], ["mdadm"])


def test_the_note_stays_until_the_last_role_has_left(module: ModuleType, host: dict[str, str]) -> None:
    """Base leaves a host first that the others leave too: they must still know what is the host's own."""
    Path(module.OURS).touch()
    module.note(check=False)
    roles_here(module, "base", "munge", "slurm_node")
    assert module.forget(check=False) == []
    Path(module.OURS).unlink()
    for left in (("base", "munge", "slurm_node"), ("munge", "slurm_node")):
        roles_here(module, *left)
        assert module.forget(check=False) == []
    roles_here(module, "slurm_node")
    assert module.forget(check=False)
    assert not Path(module.NOTE).exists()


@pytest.mark.parametrize("role", EVERY)
def test_packages_come_and_go_by_this_module_only(role: str) -> None:
    for moment, state in (("install", "installed"), ("teardown", "removed")):
        text = (ROLES / role / "tasks" / f"{moment}.yml").read_text()
        assert "ansible.builtin.apt" not in text
        assert f'host_packages:\n    state: {state}\n    names: "{{{{ {role}_packages' in text


@pytest.mark.parametrize("role", ["nfs_server", "scratch"])
def test_mdadm_stays_where_another_array_is(role: str) -> None:
    text = (ROLES / role / "tasks" / "teardown.yml").read_text()
    assert (
        text.index("state: absent\n\n# A host that boots") < text.index("/proc/mdstat") < text.index("host_packages:")
    )
    assert f"keep: \"{{{{ ['mdadm', 'xfsprogs'] if {role}_arrays.stdout else [] }}}}\"" in text
    assert f"/etc/mdadm, /var/lib/mdadm]\n  when: \"'mdadm' not in {role}_gone.kept\"" in text
