"""The hall in a spec: what stands where, and so how long every cable is. Fabrics of every kind have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from platform_iac.fabric.racks import Layout, LayoutError, Place
from platform_iac.spec.base import Model, setting
from platform_iac.spec.hostlist import expand
from platform_iac.spec.types import Hostlist, wrong

if TYPE_CHECKING:
    from platform_iac.fabric.model import Layer

LAYERS: Final[tuple[Layer, ...]] = ("node_leaf", "leaf_spine", "spine_core", "manager")

Metres = Annotated[float, Field(ge=0, le=500)]
Few = Annotated[int, Field(ge=1, le=500)]
Units = Annotated[int, Field(ge=1, le=60)]


class Rack(Model):
    """What stands in one rack."""

    hosts: Hostlist | None = setting(None, impact="drain", description="Hosts, from the bottom up.")
    switches: Hostlist | None = setting(
        None, impact="drain", description="Switches by their names in the plan, from the top down."
    )


class Lengths(Model):
    """Measured lengths by layer, which stand in the place of those along the trays. In metres."""

    node_leaf: Metres | None = setting(None, impact="none", description="From hosts to leaves.")
    leaf_spine: Metres | None = setting(None, impact="none", description="From leaves to spines.")
    spine_core: Metres | None = setting(None, impact="none", description="From spines to cores.")
    manager: Metres | None = setting(None, impact="none", description="From managers to leaves.")


class Hall(Model):
    """A hall with its racks; what is left out is as in NVIDIA's DGX SuperPOD with H100."""

    hosts_per_rack: Few = setting(4, impact="none", description="Hosts of a rack.")
    switches_per_rack: Few = setting(16, impact="none", description="Switches of a rack.")
    rack_u: Units = setting(48, impact="none", description="Height of a rack, in rack units.")
    host_u: Units = setting(8, impact="none", description="Height of a host, in rack units.")
    switch_u: Units = setting(1, impact="none", description="Height of a switch, in rack units.")
    leaves: Literal["amid", "first", "last"] = setting(
        "amid", impact="none", description="Where a unit's leaves stand among the racks of its hosts."
    )
    units_per_row: Few = setting(
        2, impact="none", description="Scalable units of a row, at most; fewer where a row has not so many racks."
    )
    racks_per_row: Few = setting(20, impact="none", description="Racks of a row.")
    rows: Few | None = setting(None, impact="none", description="Rows of the hall; left out, as many as it takes.")
    rack_pitch_m: Metres = setting(0.6, impact="none", description="From a rack to the next, in metres.")
    row_pitch_m: Metres = setting(3, impact="none", description="From a row to the next, in metres.")
    rise_m: Metres = setting(1.5, impact="none", description="From a port up to the tray, in metres.")
    within_rack_m: Metres = setting(1.5, impact="none", description="Between two ports of one rack, in metres.")
    slack_m: Metres = setting(0.5, impact="none", description="Left over at each end, in metres.")
    lengths_m: Lengths = setting(Lengths(), impact="none", description="Measured lengths, by layer.")
    racks: dict[str, Rack] = setting(
        default_factory=dict,
        impact="none",
        description="What stands where, by the rack's name (`B07`: row and place); all of the fabric, or nothing.",
    )

    @model_validator(mode="after")
    def _holds(self) -> Self:
        for what, each, count in (
            ("hosts", self.host_u, self.hosts_per_rack),
            ("switches", self.switch_u, self.switches_per_rack),
        ):
            if each * count > self.rack_u and not self.racks:
                raise wrong(
                    f"{count} {what} of {each} units do not fit a rack of {self.rack_u} — "
                    f"take `{what}_per_rack: {self.rack_u // each}`"
                    if self.rack_u >= each
                    else f"one of the {what} is {each} units high, and a rack {self.rack_u} — take higher racks"
                )
        for name in self.racks:
            try:
                Place.named(name)
            except LayoutError as error:
                raise wrong(str(error)) from error
        return self

    def layout(self) -> Layout:
        """Return the hall as the planner takes it."""
        same = set(type(self).model_fields) - {"rows", "lengths_m", "racks"}
        return Layout(
            **{name: getattr(self, name) for name in same},
            rows=self.rows or 0,
            lengths_m={layer: metres for layer in LAYERS if (metres := getattr(self.lengths_m, layer))},
            racks={
                name: tuple(one for names in (rack.hosts, rack.switches) if names for one in expand(names))
                for name, rack in self.racks.items()
            },
        )
