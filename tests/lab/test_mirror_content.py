import re
import zipfile
from pathlib import Path

import pytest

from platform_iac.lab import artifacts, debian, wheels
from platform_iac.lab.paths import LabError


def wheel(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    project, version = name.split("-")[:2]
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(f"{project}-{version}.dist-info/METADATA", f"Name: {project}\nVersion: {version}\n")
    return folder / name


def test_the_index_spells_projects_as_installers_ask_for_them(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "Foo_Bar.baz-1.0-py3-none-any.whl")
    wheels.index(tmp_path)
    assert '<a href="foo-bar-baz/">' in (tmp_path / "simple/index.html").read_text()
    page = (tmp_path / "simple/foo-bar-baz/index.html").read_text()
    found = re.search(r'href="([^"#]+)#sha256=[0-9a-f]{64}"', page)
    assert found
    assert (tmp_path / "simple/foo-bar-baz" / found[1]).resolve().is_file()


def test_metadata_lies_beside_the_wheel_and_the_index_says_so(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "foo-1.0-py3-none-any.whl")
    wheels.index(tmp_path)
    assert (tmp_path / "wheels/foo-1.0-py3-none-any.whl.metadata").read_text().startswith("Name: foo")
    assert 'data-core-metadata="sha256=' in (tmp_path / "simple/foo/index.html").read_text()


def test_a_local_version_is_escaped_in_the_link() -> None:
    assert "foo-1.0%2Bcpu-py3-none-any.whl#sha256=" in wheels.link("foo-1.0+cpu-py3-none-any.whl", "a", "b")


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "foo-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("foo.py", "")
    with pytest.raises(LabError, match="no METADATA"):
        wheels._metadata(tmp_path / "foo-1.0-py3-none-any.whl")


def test_pins_find_their_wheels_whatever_the_spelling(tmp_path: Path) -> None:
    file = wheel(tmp_path, "Flask_Cors-6.0-py3-none-any.whl")
    assert wheels._matching(tmp_path, "flask-cors==6.0") == [file]
    assert wheels._matching(tmp_path, "flask-cors==6.0.1") == []


def test_platforms_begin_with_the_image_s_own_glibc() -> None:
    tags = wheels.platforms("x86_64")
    assert (tags[0], tags[-1]) == ("manylinux_2_36_x86_64", "linux_x86_64")


def test_file_names_lose_the_epoch() -> None:
    assert debian.pool_name("mariadb-server_1%3a10.11.6-0_amd64.deb") == "mariadb-server_10.11.6-0_amd64.deb"
    assert debian.pool_name("munge_0.5.15-2_amd64.deb") == "munge_0.5.15-2_amd64.deb"


def test_the_order_of_what_is_asked_for_does_not_make_another_mirror() -> None:
    first = artifacts.digest(["b", "a"], ["x", "uv"], Path("/image"))
    assert first == artifacts.digest(["a", "b", "a"], ["x"], Path("/image"))
    assert first != artifacts.digest(["a", "b"], ["x"], Path("/other"))


@pytest.mark.parametrize("asked", ["--option=x", "", "a b", "a\nb"])
def test_what_is_no_package_name_is_refused(asked: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="not the name of a package"):
        artifacts.ensure([asked], [], tmp_path, print)
