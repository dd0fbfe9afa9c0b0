"""The module `slurm_running`: what `scontrol` shows, against what slurm.conf says. The texts are of Slurm 22.05."""

from __future__ import annotations

import types

import pytest

from tests.host_modules import load

CONF = """\
# AuthType=auth/none
ClusterName=lab
SlurmctldHost=ctl01(10.77.0.11)
SlurmUser=slurm
SlurmctldTimeout=120
PrologFlags=Alloc,Contain
SelectTypeParameters=CR_Core_Memory
AccountingStorageTRES=gres/gpu,gres/gpu:h100
PriorityMaxAge=7-00:00:00
NodeName=gpu[01-02] NodeAddr=10.77.0.[21-22] State=UNKNOWN
PartitionName=gpu Nodes=gpu[01-02] Default=YES MaxTime=7-00:00:00 DefaultTime=01:00:00 PriorityTier=1 State=UP
"""
CONFIG = """\
Configuration data as of 2026-11-26T02:53:08
AccountingStorageTRES   = cpu,mem,energy,node,billing,fs/disk,vmem,pages,gres/gpu,gres/gpu:h100
AuthType                = auth/munge
ClusterName             = lab
PriorityMaxAge          = 7-00:00:00
PrologFlags             = Alloc,Contain
SelectTypeParameters    = CR_CORE_MEMORY
SlurmUser               = slurm(64030)
SlurmctldHost[0]        = ctl01(10.77.0.11)
SlurmctldTimeout        = 120 sec

Slurmctld(primary) at ctl01 is UP
"""
PARTITIONS = (
    "PartitionName=gpu AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL Default=YES QoS=N/A DefaultTime=01:00:00 "
    "MaxTime=7-00:00:00 MinNodes=0 Nodes=gpu[01-02] PriorityJobFactor=1 PriorityTier=1 State=DRAIN JobDefaults=(null)\n"
)


@pytest.fixture(scope="module")
def module() -> types.ModuleType:
    return load("plugins/modules/slurm_running.py")


def test_a_controller_that_runs_with_its_file_differs_in_nothing(module: types.ModuleType) -> None:
    assert module.compare(CONF, CONFIG, PARTITIONS) == {}, "a drained partition is the operators'"


def test_what_runs_otherwise_is_told(module: types.ModuleType) -> None:
    config = CONFIG.replace("120 sec", "60 sec").replace("gres/gpu,gres/gpu:h100", "gres/gpu")
    partitions = PARTITIONS.replace("MaxTime=7-00:00:00", "MaxTime=01:00:00")
    assert module.compare(CONF, config, partitions) == {
        "SlurmctldTimeout": "runs with 60 sec instead of 120",
        "AccountingStorageTRES": (
            "runs with cpu,mem,energy,node,billing,fs/disk,vmem,pages,gres/gpu instead of gres/gpu,gres/gpu:h100"
        ),
        "partition gpu MaxTime": "runs with 01:00:00 instead of 7-00:00:00",
    }
    assert module.compare(CONF, CONFIG, "\n") == {"partition gpu": "is not there"}


def test_drift_asks_about_the_one_file_among_the_role_s(
    module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "differences", lambda path: {"MessageTimeout": f"runs with 1 instead of {path}"})
    assert module.drift(["/etc/slurm/cgroup.conf", "/etc/slurm/slurm.conf"]) == {
        "slurm MessageTimeout": "runs with 1 instead of /etc/slurm/slurm.conf"
    }
