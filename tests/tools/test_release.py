"""A release: the same bytes from the same commit, sums, a signature, and a wheel that works without the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

TOP = Path(__file__).resolve().parents[2]
NAMESPACE = "platform-iac-release"
SPEC = """\
apiVersion: platform-iac/v1
name: tiny
sites: {dc: {kind: onprem, domain: a.b, network: 10.0.0.0/16, access: {ssh_config: /etc/a, known_hosts: /etc/b}}}
pools: {gpu: {site: dc, duty: compute, hosts: "gpu[1-4]", addresses: 10.0.0.1, hardware: dgx-h100}}
fabric: {kind: infiniband, rails: 8, radix: 64, unit: 32}
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit of what the working tree has, and a key that signs."""
    home = tmp_path_factory.mktemp("release")
    tree = home / "tree"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=TOP).splitlines()
    for name in listed:
        if (TOP / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, tree / name)
    who = ("-c", "user.name=t", "-c", "user.email=t@example.net")
    run("git", "init", "-q", cwd=tree)
    run("git", "add", "-A", cwd=tree)
    run("git", *who, "commit", "-q", "-m", "first", cwd=tree)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "key"), cwd=home)
    return tree


def run(*argv: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(checkout: Path) -> Path:
    """The release's files."""
    release(checkout, "one", umask=0o022, TZ="UTC")
    return checkout.parent / "one"


def release(checkout: Path, name: str, *, umask: int, **env: str) -> None:
    script = f"umask {umask:o} && exec {sys.executable} tools/release.py --out ../{name} --key ../key"
    run("sh", "-c", script, cwd=checkout, PYTHONPATH=str(checkout), **env)


def test_the_same_commit_gives_the_same_bytes(checkout: Path, made: Path) -> None:
    (checkout / "platform_iac" / "not-committed.json").write_text("{}")
    release(checkout, "two", umask=0o077, TZ="Asia/Tokyo")
    (checkout / "platform_iac" / "not-committed.json").unlink()
    names = sorted(path.name for path in made.iterdir())
    assert [name.split("-0")[0] for name in names] == ["SHA256SUMS", "SHA256SUMS.sig", *["platform_iac"] * 3]
    again = checkout.parent / "two"
    assert {name: (again / name).read_bytes() for name in names} == {name: (made / name).read_bytes() for name in names}


def test_the_signature_is_of_the_sums_and_the_sums_of_the_files(made: Path) -> None:
    public = (made.parent / "key.pub").read_text()
    (made.parent / "signers").write_text(f'releases namespaces="{NAMESPACE}" {public}')
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=made)
    verify = f"ssh-keygen -Y verify -f ../signers -I releases -n {NAMESPACE} -s SHA256SUMS.sig"
    run("sh", "-c", f"{verify} < SHA256SUMS", cwd=made)
    spoiled = subprocess.run(
        ["sh", "-c", f"(cat SHA256SUMS; echo) | {verify}"], cwd=made, capture_output=True, timeout=30, check=False
    )
    assert spoiled.returncode != 0


def test_the_bill_of_materials_names_every_pin(made: Path) -> None:
    (file,) = made.glob("*.cdx.json")
    bill = json.loads(file.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {f"{part['name']}=={part['version']}" for part in bill["components"]}
    lock = (TOP / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert listed == {line.split()[0] for line in lock if line[:1].isalnum()}
    assert all(reference["hashes"] for part in bill["components"] for reference in part["externalReferences"])


def test_the_wheel_reads_a_spec_where_there_is_no_checkout(made: Path, tmp_path: Path) -> None:
    (wheel,) = made.glob("*.whl")
    installed, spec = tmp_path / "installed", tmp_path / "tiny.yaml"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    spec.write_text(SPEC)
    (tmp_path / "where.py").write_text("import platform_iac, policies; print(platform_iac.__file__, policies.__file__)")
    env = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    assert run(sys.executable, "where.py", cwd=tmp_path, **env).count(str(installed)) == 2
    argv = (sys.executable, "-m", "platform_iac.cli")
    assert run(*argv, "validate", str(spec), cwd=tmp_path, **env).startswith("tiny: 4 hosts, ")
    assert "leaves" in run(*argv, "fabric", str(spec), cwd=tmp_path, **env)
    assert "chrony.conf" in run(*argv, "plan", str(spec), "--json", cwd=tmp_path, **env)
    shutil.copy(TOP / "stacks" / "lab.yaml", tmp_path)
    lab = run(*argv, "plan", "lab.yaml", "--json", cwd=tmp_path, **env)
    assert lab == run(*argv, "plan", str(TOP / "stacks" / "lab.yaml"), "--json", cwd=TOP, PYTHONPATH=str(TOP))
    assert "/opt/platform/examples/digits/train.sbatch" in lab


def test_a_tag_of_another_version_is_refused(checkout: Path) -> None:
    run("git", "tag", "v99.0", cwd=checkout)
    argv = [sys.executable, "tools/release.py", "--out", "../three"]
    done = subprocess.run(
        argv,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    run("git", "tag", "-d", "v99.0", cwd=checkout)
    assert done.returncode == 1
    assert "the tag v99.0 is on version" in done.stderr
