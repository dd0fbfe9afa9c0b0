"""Ceph: an all-flash cluster of our own, with shared file systems (CephFS) and an object store (RGW, S3).

Read in this order: `spec` (what people write), `rules` (what fits together), `config` (texts of the
hosts), `trees` (people's directories), `plan` (role runs), `checks` (the proof).
"""

from platform_iac.kinds.storage.ceph.checks import checks
from platform_iac.kinds.storage.ceph.plan import buckets, plan
from platform_iac.kinds.storage.ceph.spec import Spec

__all__ = ["Spec", "buckets", "checks", "plan"]
