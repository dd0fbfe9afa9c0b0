from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).resolve().parents[2]
LOCK = (TOP / "requirements.lock").read_text(encoding="utf-8")
PINS = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE))


def test_every_package_has_hashes() -> None:
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PINS) > 50
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_package_that_is_asked_for_is_pinned_to_a_version_that_fits() -> None:
    """That the lock is what `make lock` writes is asked of the index by `make audit`."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    asked = map(Requirement, [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]])
    assert [str(each) for each in asked if PINS.get(canonicalize_name(each.name), "") not in each.specifier] == []


def test_the_lock_names_no_host_and_no_index() -> None:
    assert re.findall(r"https?:|://|--index|--find-links|file:", LOCK) == []


def test_the_lock_brings_the_uv_that_set_up_installs_it_with() -> None:
    assert "uv" in PINS


def test_no_provider_package_is_locked_that_would_ask_for_its_plugin() -> None:
    assert {name for name in PINS if name.startswith("pulumi-")} == {"pulumi-policy"}


def test_sdk_cli_and_language_host_are_one_version() -> None:
    tools = (TOP / "tools/tools.sh").read_text(encoding="utf-8")
    module = (TOP / "tools/pulumi/go.mod").read_text(encoding="utf-8")
    assert f"pulumi_version={PINS['pulumi']}\n" in tools
    assert set(re.findall(r"github.com/pulumi/pulumi/(?:pkg|sdk)/v3 v(\S+)", module)) == {PINS["pulumi"]}


def test_the_set_up_installs_what_the_doctor_looks_for() -> None:
    from platform_iac.doctor import COMMANDS

    setup = (TOP / "tools/setup").read_text(encoding="utf-8")
    listed = re.search(r"^packages=\((.*?)\)", setup, re.MULTILINE | re.DOTALL)
    assert listed
    assert set(COMMANDS.values()) <= set(listed[1].split())
