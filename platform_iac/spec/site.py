"""What every site has, whatever its kind. A site kind's `Spec` begins with this."""

from __future__ import annotations

from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import Cidr, Domain, IPv4


class Site(Model):
    """One place with machines: a machine room, a region, a twin."""

    kind: str = setting(impact="replace", description="What the site is.")
    domain: Domain = setting(impact="drain", description="DNS domain of the site's hosts.")
    network: Cidr = setting(impact="replace", description="The IPv4 network that carries management and logins.")

    @property
    def reserved(self) -> dict[IPv4, str]:
        """Addresses in `network` that no host may have, with what has them."""
        return {}
