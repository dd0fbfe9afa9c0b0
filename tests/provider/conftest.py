"""A provider in this process, spoken to over gRPC as the engine does; hosts are this computer."""

from __future__ import annotations

import getpass
import grp
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from platform_iac.provider import service, wanted
from platform_iac.provider.registry import handlers
from platform_iac.provider.runner import run
from platform_iac.provider.runner.events import Outcome
from platform_iac.provider.runner.play import Job
from platform_iac.provider.values import decode, encode

ROLES = Path(__file__).parent / "roles"
ROLE, KEY = "platform:ansible:Role", "platform:secret:Key"


class InitError(Exception):
    """What the engine sees as an initialization failure."""

    def __init__(self, detail: Any) -> None:
        super().__init__(list(detail.reasons))
        self.id = detail.id
        self.outputs = decode(detail.properties).values
        self.reasons = list(detail.reasons)


@dataclass
class Engine:
    """Speaks for the engine: plain values in, plain values out, secrets marked by name."""

    stub: Any
    secrets: set[str] = field(default_factory=lambda: {"secrets"})

    def urn(self, token: str) -> str:
        return f"urn:pulumi:test::project::platform:index:Platform${token}::name"

    def message(self, values: dict[str, Any]) -> Any:
        return encode(values, self.secrets & values.keys())

    def check(self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None) -> Any:
        request = provider_pb2.CheckRequest(urn=self.urn(token), olds=self.message(olds or {}), news=self.message(news))
        return self.stub.Check(request, timeout=30)

    def diff(
        self, token: str, outputs: dict[str, Any], news: dict[str, Any], old_inputs: dict[str, Any], id: str = "id"
    ) -> Any:
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=id,
                urn=self.urn(token),
                olds=self.message(outputs),
                news=self.message(news),
                old_inputs=self.message(old_inputs),
            ),
            timeout=30,
        )

    def create(self, token: str, inputs: dict[str, Any], *, preview: bool = False) -> tuple[str, dict[str, Any]]:
        request = provider_pb2.CreateRequest(urn=self.urn(token), properties=self.message(inputs), preview=preview)
        response = self._call(self.stub.Create, request)
        return response.id, decode(response.properties).values

    def update(
        self, token: str, id: str, old_inputs: dict[str, Any], olds: dict[str, Any], news: dict[str, Any]
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            id=id,
            urn=self.urn(token),
            olds=self.message(olds),
            news=self.message(news),
            old_inputs=self.message(old_inputs),
        )
        return decode(self._call(self.stub.Update, request).properties).values

    def read(self, token: str, id: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
        request = provider_pb2.ReadRequest(
            id=id, urn=self.urn(token), properties=self.message(outputs), inputs=self.message(inputs)
        )
        return self._call(self.stub.Read, request)

    def delete(self, token: str, id: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        request = provider_pb2.DeleteRequest(
            id=id, urn=self.urn(token), properties=self.message(outputs), old_inputs=self.message(inputs)
        )
        self._call(self.stub.Delete, request)

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=120)
        except grpc.RpcError as error:
            for key, value in error.trailing_metadata() or ():
                if key == "grpc-status-details-bin":
                    status = status_pb2.Status()
                    status.ParseFromString(value)
                    detail = provider_pb2.ErrorResourceInitFailed()
                    assert status.details[0].Unpack(detail)
                    raise InitError(detail) from error
            raise


@pytest.fixture
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks and roles of the test only."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PLATFORM_IAC_ROLES", str(ROLES))
    return tmp_path


@pytest.fixture
def answering() -> service.Service:
    """The servicer itself, for tests that look behind the wire."""
    return service.Service(handlers())


def ansible_double(job: Job, log: Any, cancelled: threading.Event) -> dict[str, Outcome]:
    """Does what the fixture role does, without Ansible; the real thing is in `runner/test_run.py`."""
    outcomes = {}
    for host in job.hosts:
        variables, files = wanted.variables(job.inputs, host), wanted.files(job.inputs, host)
        left = {**job.stale.get(host, {}).get("files", {}), **(files if job.teardown else {})}
        for path in left:
            Path(path).unlink(missing_ok=True)
        outcomes[host] = Outcome(finished=True)
        if job.teardown:
            continue
        with Path(variables["log"]).open("a", encoding="utf-8") as record:
            record.write(f"{host}\n")
        while Path(variables.get("wait_for", "/no")).exists() and not cancelled.wait(0.05):
            pass
        broken = Path(variables["broken"])
        if cancelled.is_set():
            outcomes[host].reason = "stopped before it was done"
        elif broken.exists():
            outcomes[host].reason = variables.get("reason", f"Stumble: {broken} is in the way")
        else:
            for path, file in files.items():
                Path(path).parent.mkdir(exist_ok=True)
                Path(path).write_text(wanted.fill(file["content"], job.secrets))
                Path(path).chmod(int(file["mode"], 8))
                log("info", f"changed on {host}: Write the files")
    return outcomes


@pytest.fixture
def without_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the double in Ansible's place."""
    monkeypatch.setattr(run, "run", ansible_double)


@pytest.fixture
def engine(private_state: Path, answering: service.Service) -> Iterator[Engine]:
    """The provider, served on loopback and configured."""
    port, stop = service.serve(answering)
    with grpc.insecure_channel(f"127.0.0.1:{port}", service.OPTIONS) as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        stub.Configure(provider_pb2.ConfigureRequest(), timeout=10)
        yield Engine(stub)
    answering.cancelled.set()
    stop(5.0).wait(5.0)


def file(content: str, mode: str = "0644") -> dict[str, str]:
    """A file that whoever runs the tests may own."""
    return {"content": content, "mode": mode, "owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def untouched(said: str) -> str:
    """What is said of a thing that differs, without the line about when it changed and who was there."""
    return "\n".join(line for line in said.split("\n") if not line.startswith("changed "))


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    """A Role with two hosts, both of them this computer, each with a file of its own."""
    return {
        "role": "fixture",
        "digest": "d1",
        "files": {},
        "vars": {"log": str(tmp_path / "runs")},
        "hosts": {
            name: {
                "address": "127.0.0.1",
                "vars": {"broken": str(tmp_path / f"{name}.broken")},
                "files": {str(tmp_path / name / "etc.conf"): file("colour=red\n")},
            }
            for name in ("one", "two")
        },
        "sshConfig": "local",
        "secrets": {"db": "canary-5ec4e7-5ec4e7"},
    }


@pytest.fixture
def runs(tmp_path: Path) -> Any:
    """The hosts on which the fixture role ran since the last call, sorted."""

    def since() -> list[str]:
        log = tmp_path / "runs"
        lines = sorted(log.read_text().split()) if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    return since
