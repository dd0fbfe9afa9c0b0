from __future__ import annotations

import pytest

from platform_iac.spec.errors import SpecError
from platform_iac.spec.hardware import CATALOG, Asic, Choice, Dpu, Fpga, Hardware, catalog
from platform_iac.spec.load import from_data

NAMES = {"cpu-server", "dgx-a100", "dgx-b200", "dgx-h100", "edge-box", "gpu-server", "nvme-server", "workstation"}


def pool(hardware: object) -> Hardware:
    sites = {"a": {"kind": "lab", "domain": "a.b", "network": "10.0.0.0/24"}}
    one = {"site": "a", "duty": "compute", "hosts": "h1", "addresses": "10.0.0.5", "hardware": hardware}
    platform = from_data({"apiVersion": "platform-iac/v1", "name": "x", "sites": sites, "pools": {"p": one}})
    return platform.pools["p"].resolved_hardware()


def test_the_catalog_has_what_it_promises() -> None:
    assert set(catalog()) >= NAMES


@pytest.mark.parametrize("name", sorted(catalog()))
def test_every_machine_of_the_catalog_is_complete_and_says_where_it_is_from(name: str) -> None:
    machine = catalog()[name]
    assert machine.nics
    assert any(disks.purpose == "system" for disks in machine.disks)
    assert any(nics.purpose == "management" for nics in machine.nics)
    names = [device for nics in machine.nics for device in nics.names]
    assert len(set(names)) == len(names)
    assert (CATALOG / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(
    ("name", "gpu", "rate"), [("dgx-a100", "a100", 200), ("dgx-h100", "h100", 400), ("dgx-b200", "b200", 400)]
)
def test_a_dgx_has_eight_gpus_each_with_its_rail(name: str, gpu: str, rate: int) -> None:
    machine = catalog()[name]
    assert [(item.model, item.count, item.mig_slices) for item in machine.gpus] == [(gpu, 8, 7)]
    assert len(machine.ports("infiniband", "compute")) == 8
    assert {nics.rate_gbps for nics in machine.nics if nics.purpose == "compute"} == {rate}


def test_the_rails_of_a_dgx_h100_are_in_the_order_of_its_gpus() -> None:
    # DGX H100 user guide, table "Network Modules": GPU 0 has mlx5_0, GPU 1 mlx5_3, … GPU 7 mlx5_11
    rails = "mlx5_0 mlx5_3 mlx5_4 mlx5_5 mlx5_6 mlx5_9 mlx5_10 mlx5_11"
    assert catalog()["dgx-h100"].ports("infiniband", "compute") == tuple(rails.split())


def test_a_name_stands_for_the_machine_as_it_is() -> None:
    assert pool("dgx-h100") == catalog()["dgx-h100"]


def test_a_map_changes_only_what_it_says() -> None:
    changed = pool({"like": "dgx-h100", "memory_gib": 4})
    assert changed == catalog()["dgx-h100"].model_copy(update={"memory_gib": 4})


def test_a_pool_without_hardware_is_a_cpu_server() -> None:
    assert Choice().resolved() == catalog()["cpu-server"]


def test_accelerators_are_more_than_gpus() -> None:
    machine = pool(
        {
            "like": "cpu-server",
            "accelerators": [
                {"kind": "fpga", "model": "u55c", "product": "AMD Alveo U55C", "count": 2, "memory_gib": 16},
                {"kind": "asic", "family": "tpu", "model": "v5e", "product": "TPU v5e", "count": 4, "memory_gib": 16},
                {"kind": "dpu", "model": "bf3", "product": "NVIDIA BlueField-3", "count": 1, "rate_gbps": 400},
            ],
        }
    )
    assert [type(item) for item in machine.accelerators] == [Fpga, Asic, Dpu]
    assert (machine.gpus, machine.gpu_count) == ((), 0)


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ("dgx-h200", "did you mean"),
        ({"like": "dgx"}, "the catalog has no 'dgx'"),
        ({"memory_gib": 0}, "at least 1"),
        ({"gpus": 4}, "there is no such key"),
        (["dgx-h100"], "expected a map"),
    ],
)
def test_other_hardware_is_refused(hardware: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        pool(hardware)
