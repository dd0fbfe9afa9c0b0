"""A mirror made from the registries, and a machine that installs from it and from nowhere else."""

import contextlib
import fcntl
import logging
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from platform_iac.lab import artifacts, debian, image, machine, network
from platform_iac.lab.machine import Bind
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run

pytestmark = pytest.mark.twin

_LOG = logging.getLogger(__name__)
PACKAGES = ("munge",)
REQUIREMENTS = ("iniconfig==2.0.0",)
SOURCE = "deb [signed-by=/srv/mirror/debian/platform-iac.gpg.asc] file:///srv/mirror/debian ./"


def make(root: Path) -> Path:
    return artifacts.ensure(PACKAGES, REQUIREMENTS, root, _LOG.info)


@pytest.fixture(scope="module")
def root() -> Path:
    return image.ensure(_LOG.info)


@pytest.fixture(scope="module")
def mirror(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A mirror in an empty cache, which two processes made at the same time."""
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(max_workers=2) as pool:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("c")))
        first, second = pool.map(make, [root, root])
        assert first == second
        assert not list(first.parent.glob(".build-*"))
        yield first


@pytest.fixture
def host(mirror: Path, root: Path) -> Iterator[str]:
    """The ssh configuration of a machine `one` that has the mirror bound and is told to use it."""
    lab = f"t-{secrets.token_hex(4)}"
    try:
        net = network.ensure(lab, "10.99.0.0/24", {"one": "10.99.0.11"})
        machine.create(lab, "one", "10.99.0.11", root, (Bind(source=str(mirror), target="/srv/mirror"),))
        ssh(str(net.ssh_config), f"echo '{SOURCE}' >/etc/apt/sources.list")
        yield str(net.ssh_config)
    finally:
        machine.delete(lab, "one")
        network.delete(lab)


def ssh(config: str, command: str) -> str:
    return run(["ssh", "-F", config, "one", command], timeout_seconds=120)


def test_a_machine_installs_packages_and_wheels(host: str) -> None:
    ssh(host, "apt-get --quiet update && DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes install munge")
    assert ssh(host, "dpkg-query --show --showformat='${Status}' munge") == "install ok installed"
    wheel = "/srv/mirror/pypi/wheels/iniconfig-2.0.0-py3-none-any.whl"
    assert ssh(host, f"PYTHONPATH={wheel} python3 -c 'import iniconfig; print(iniconfig.__name__)'") == "iniconfig\n"


def test_a_package_that_was_not_asked_for_is_not_there(host: str) -> None:
    ssh(host, "apt-get --quiet update")
    with pytest.raises(LabError, match="Unable to locate package nginx"):
        ssh(host, "apt-get --quiet --yes install nginx")


def test_a_list_that_was_tampered_with_is_refused(host: str) -> None:
    ssh(host, "cp -r /srv/mirror /srv/copy && sed -i s/Packages/packages/ /srv/copy/debian/InRelease")
    ssh(host, "sed -i s#file:///srv/mirror#file:///srv/copy# /etc/apt/sources.list")
    with pytest.raises(LabError, match=r"BADSIG|signature"):
        ssh(host, "apt-get --quiet update --error-on=any")


def test_a_package_that_does_not_exist_is_named(root: Path) -> None:
    with pytest.raises(LabError, match="no-such-package"):
        artifacts.ensure(["no-such-package"], [], root, _LOG.info)


def test_downloads_at_once_wait_for_each_other_and_for_whoever_has_the_image(root: Path) -> None:
    """A mirror and the guests' image may be made at the same time, and an image may be shared by caches."""

    @contextlib.contextmanager
    def held() -> Iterator[None]:
        with (root / "var/lib/dpkg/lock-frontend").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            yield

    with ThreadPoolExecutor(max_workers=2) as pool:
        with held():
            asked = [pool.submit(debian.download, [name], root, _LOG.info) for name in ("munge", "busybox-static")]
            time.sleep(3)
            assert not any(one.done() for one in asked)
        found = [one.result(timeout=300) for one in asked]
    for files, name in zip(found, ("munge", "busybox-static"), strict=True):
        assert [path.name for path in files if path.name.startswith(f"{name}_")]
        assert all(path.exists() for path in files)
