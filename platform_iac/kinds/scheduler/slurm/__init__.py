"""Slurm: queues, fair share and typed GPUs for jobs on the compute hosts.

Read in this order: `spec` (what people write), `nodes` (hosts as Slurm names them), `config` (the
files of the controller), `accounts` (teams and QoS), `plan` (role runs), `checks` (the proof).
"""

from platform_iac.kinds.scheduler.slurm.checks import checks
from platform_iac.kinds.scheduler.slurm.plan import plan
from platform_iac.kinds.scheduler.slurm.spec import Spec

__all__ = ["Spec", "checks", "plan"]
