from __future__ import annotations

from pathlib import Path

import pytest

from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import load

BASE = """\
apiVersion: platform-iac/v1
name: base
sites: {dc: {kind: lab, domain: a.b, network: 10.0.0.0/24, forwards: {mlflow: 5000, grafana: 3000}}}
teams:
  vision: {share: 3, gpus: 8, members: {alice: {uid: 20001, authorized_keys: []}}}
  language: {share: 4}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    return tmp_path


def over(folder: Path, text: str, base: str = "base.yaml", name: str = "over.yaml") -> Path:
    path = folder / name
    path.write_text(f"extends: {base}\n{text}", encoding="utf-8")
    return path


def test_maps_merge_and_scalars_replace(folder: Path) -> None:
    platform = load(over(folder, "name: over\nteams: {vision: {share: 5}, sound: {}}\n"))
    assert platform.name == "over"
    assert list(platform.teams) == ["vision", "language", "sound"]
    assert (platform.teams["vision"].share, platform.teams["vision"].gpus) == (5, 8)


def test_null_takes_away_what_the_base_has(folder: Path) -> None:
    platform = load(over(folder, "teams: {vision: {gpus: null}, language: null}\n"))
    assert list(platform.teams) == ["vision"]
    assert platform.teams["vision"].gpus is None


def test_null_for_what_the_base_has_not_is_a_typing_error(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"over.yaml:2:9 teams.visoin: there is nothing here to take away"):
        load(over(folder, "teams: {visoin: null}\n"))


def test_another_kind_replaces_the_whole_map(folder: Path) -> None:
    site = "{kind: onprem, domain: a.b, network: 10.0.0.0/24, access: {ssh_config: /etc/a, known_hosts: /etc/b}}"
    assert load(over(folder, f"sites: {{dc: {site}}}\n")).sites["dc"].kind == "onprem"


def test_files_extend_each_other_in_a_chain(folder: Path) -> None:
    over(folder, "environment: staging\n", name="middle.yaml")
    platform = load(over(folder, "name: top\n", base="middle.yaml"))
    assert (platform.name, platform.environment, len(platform.teams)) == ("top", "staging", 2)


def test_every_error_is_where_its_value_was_written(folder: Path) -> None:
    (folder / "base.yaml").write_text(BASE.replace("share: 4", "share: four"), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load(over(folder, "teams:\n  vision: {share: five}\n"))
    places = [str(problem.mark).removeprefix(f"{folder}/") for problem in caught.value.problems]
    assert places == ["base.yaml:6:21", "over.yaml:3:19"]


def test_a_chain_without_end_is_cut(folder: Path) -> None:
    for number in range(12):
        over(folder, "", base=f"f{number + 1}.yaml", name=f"f{number}.yaml")
    with pytest.raises(SpecError, match="more than 8 files extend each other"):
        load(folder / "f0.yaml")


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.yaml"
    outside.write_text(BASE, encoding="utf-8")
    (folder / "link.yaml").symlink_to(outside)
    with pytest.raises(SpecError, match="leads out of this folder"):
        load(over(folder, "", base="link.yaml"))


def test_an_overlay_of_something_else_than_a_map_replaces_it(folder: Path) -> None:
    with pytest.raises(SpecError, match="teams: expected a map, found the text 'none'"):
        load(over(folder, "teams: none\n"))
