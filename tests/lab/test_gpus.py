import importlib.machinery
import importlib.util
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from platform_iac.lab import gpus
from platform_iac.plan.render import ROLES, render

Ask = Callable[..., str]
SCRIPT = ROLES / "gpu/templates/nvidia-smi"


def gpu(index: int) -> dict[str, object]:
    bus = f"00000000:{0x1A + index:02X}:00.0"
    return {"index": index, "product": "NVIDIA X", "memory_mib": 1024, "uuid": f"GPU-{index}", "bus_id": bus}


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The double of nvidia-smi on a host with four GPUs, whose device 0 may not be opened."""
    loader = importlib.machinery.SourceFileLoader("nvidia_smi", str(SCRIPT))
    spec = importlib.util.spec_from_loader("nvidia_smi", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    inventory, faults = tmp_path / "gpus.json", tmp_path / "faults.json"
    inventory.write_text(json.dumps({"gpus": [gpu(index) for index in range(4)]}))
    faults.write_text(json.dumps(gpus.with_fault({}, gpus.Ecc(2, uncorrected=3))))
    monkeypatch.setattr(module, "INVENTORY", str(inventory))
    monkeypatch.setattr(module, "FAULTS", str(faults))
    monkeypatch.setattr(module, "present", lambda minor: minor != 0)
    exists = module.os.path.exists
    monkeypatch.setattr(module.os.path, "exists", lambda path: path == "/dev/nvidiactl" or exists(path))
    return module


@pytest.fixture
def ask(double: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    def ask(*argv: str, status: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["nvidia-smi", *argv])
        if status:
            with pytest.raises(SystemExit) as ended:
                double.main()
            assert ended.value.code == status
        else:
            double.main()
        return capsys.readouterr().out

    return ask


def test_only_gpus_that_may_be_opened_are_listed_and_counted_from_0(ask: Ask) -> None:
    listed = ask("--query-gpu=index,minor_number,uuid", "--format=csv,noheader")
    assert listed == "0, 1, GPU-1\n1, 2, GPU-2\n2, 3, GPU-3\n"


def test_units_stand_in_the_header_and_behind_values(ask: Ask) -> None:
    assert ask("--query-gpu=gpu_name,memory.total", "--format=csv", "-i", "0") == (
        "name, memory.total [MiB]\nNVIDIA X, 1024 MiB\n"
    )


def test_injected_errors_show_on_their_gpu_alone(ask: Ask) -> None:
    shown = ask("--query-gpu=ecc.errors.uncorrected.volatile.total", "--format=csv,noheader,nounits")
    assert shown.split() == ["0", "3", "0"]
    assert "DRAM Uncorrectable            : 3" in ask("-q", "-i", "GPU-2")


def test_a_field_that_nvidia_smi_does_not_know_is_refused(ask: Ask) -> None:
    assert ask("--query-gpu=colour", "--format=csv", status=2) == 'Field "colour" is not a valid field to query.\n'


def test_no_gpu_is_said_as_the_real_one_says_it(ask: Ask) -> None:
    assert ask("-i", "7", status=6) == "No devices were found\n"


def test_without_a_driver_the_status_is_9(double: ModuleType, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(double, "INVENTORY", "/nonexistent")
    assert "couldn't communicate with the NVIDIA driver" in ask("-L", status=9)


def test_the_script_is_the_same_after_rendering() -> None:
    assert render("gpu", "nvidia-smi") == SCRIPT.read_text()


def test_faults_of_one_gpu_add_up() -> None:
    both = gpus.with_fault(gpus.with_fault({}, gpus.Ecc(1, uncorrected=2)), gpus.Hot(1, 95))
    assert both == {"1": {"ecc_uncorrected": 2, "ecc_corrected": 0, "temperature": 95}}


def test_an_xid_line_reads_as_the_driver_writes_it() -> None:
    line = gpus.xid_line("gpu01", "00000000:3B:00.0", 79, datetime(2026, 1, 2, tzinfo=UTC))
    assert line.startswith("2026-01-02T00:00:00+00:00 gpu01 kernel: NVRM: Xid (PCI:0000:3b:00): 79, ")
