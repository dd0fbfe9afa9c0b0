"""People's directories and teams' quotas in each file system.

A team's directory carries its quota, and its members' directories are in it. Homes are reached by a
link (`/home/alice` → `vision/alice`), so that accounts know nothing of teams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from platform_iac.kinds.storage._shared import MODES

if TYPE_CHECKING:
    from platform_iac.kinds.storage._shared import FileSystem
    from platform_iac.kinds.storage.ceph.spec import Spec
    from platform_iac.plan.context import Context

GIB: Final = 2**30


def declared(spec: Spec, context: Context) -> dict[str, Any]:
    """Return folders and links of every file system, as the module `ceph_trees` takes them."""
    return {name: _tree(filesystem, context) for name, filesystem in sorted(spec.filesystems.items())}


def own_folder(filesystem: FileSystem, context: Context) -> str:
    """Return where a member writes: at home by the link, else in the folder of the first member's team."""
    if filesystem.purpose == "home":
        return f"{filesystem.mount}/{{user}}"
    teams = {member: name for name, team in context.spec.teams.items() for member in team.members}
    return "/".join((filesystem.mount, *([teams[min(teams)]] if teams else []), "{user}"))


def _tree(filesystem: FileSystem, context: Context) -> dict[str, Any]:
    home, mode = filesystem.purpose == "home", MODES.get(filesystem.purpose, "0755")
    folders: dict[str, dict[str, Any]] = {}
    links: dict[str, str] = {}
    for team_name, team in sorted(context.spec.teams.items()):
        quota_bytes = filesystem.quotas_gib.get(team_name, 0) * GIB
        folders[f"/{team_name}"] = {"mode": "0755", "quota_bytes": quota_bytes}
        for member, person in sorted(team.members.items()):
            own = {"mode": mode, "uid": person.uid, "skeleton": home}
            folders[f"/{team_name}/{member}"] = own
            if home:
                links[f"/{member}"] = f"{team_name}/{member}"
    return {"folders": folders, "links": links}
