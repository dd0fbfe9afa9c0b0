"""Service `datasets`: versioned datasets on shared storage, and the retraining that a new version asks for.

A version is fetched by rclone, compared with its source by checksum, given a manifest, made read-only,
and only then becomes `current`. Read in this order: `places` (where data comes from and goes to), `spec`
(what people write), `rules` (what fits together), `plan` (the host that moves), `checks` (the proof).
"""

from platform_iac.kinds.service.datasets.checks import checks
from platform_iac.kinds.service.datasets.plan import plan
from platform_iac.kinds.service.datasets.spec import Spec

__all__ = ["Spec", "checks", "plan"]
