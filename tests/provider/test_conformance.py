"""Pulumi's protocol, RPC by RPC, without the CLI."""

from __future__ import annotations

import copy
import json
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from platform_iac.provider import service, wanted
from platform_iac.provider.runner import run
from platform_iac.provider.runner.events import Outcome
from platform_iac.provider.runner.play import Job
from platform_iac.provider.values import SECRET, SIGNATURE, UNKNOWN, decode, encode
from tests.provider.conftest import KEY, ROLE, Engine, InitError, file, untouched

IDENTITY = "platform:index:Identity"
NONE, SOME = provider_pb2.DiffResponse.DIFF_NONE, provider_pb2.DiffResponse.DIFF_SOME


def marked(struct: Struct, name: str) -> bool:
    """Whether a property is marked as secret on the wire."""
    value = struct.fields[name].struct_value.fields
    return SIGNATURE in value and value[SIGNATURE].string_value == SECRET


def test_it_introduces_itself(engine: Engine) -> None:
    assert engine.stub.Handshake(provider_pb2.ProviderHandshakeRequest()).accept_secrets
    assert engine.stub.GetPluginInfo(Empty()).version == service.VERSION
    configured = engine.stub.Configure(provider_pb2.ConfigureRequest())
    assert configured.acceptSecrets
    assert configured.supportsPreview
    schema = json.loads(engine.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert {ROLE, KEY} <= schema["resources"].keys()


def test_configuration_is_taken_as_it_is_and_never_replaces(engine: Engine) -> None:
    struct = encode({"check": "true"})
    assert engine.stub.CheckConfig(provider_pb2.CheckRequest(news=struct)).inputs == struct
    changed = engine.stub.DiffConfig(provider_pb2.DiffRequest(olds=encode({}), news=struct))
    assert changed.changes == SOME
    assert not changed.replaces
    assert engine.stub.DiffConfig(provider_pb2.DiffRequest(olds=struct, news=struct)).changes == NONE


def test_an_unknown_type_is_refused(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError, match="no resource 'platform:index:Nothing'"):
        engine.create("platform:index:Nothing", {})


class TestKey:
    def test_its_value_is_random_and_secret_on_the_wire(self, engine: Engine) -> None:
        request = provider_pb2.CreateRequest(urn=engine.urn(KEY), properties=encode({"length": 32}))
        first, second = engine.stub.Create(request), engine.stub.Create(request)
        assert marked(first.properties, "value")
        values = [decode(answer.properties).values["value"] for answer in (first, second)]
        assert [len(value) for value in values] == [64, 64]
        assert values[0] != values[1]

    def test_in_a_preview_it_is_unknown_and_has_no_id(self, engine: Engine) -> None:
        id, outputs = engine.create(KEY, {"length": 32}, preview=True)
        assert not id
        assert outputs["value"] == UNKNOWN

    def test_it_is_kept(self, engine: Engine) -> None:
        id, outputs = engine.create(KEY, {"length": 32})
        answer = engine.read(KEY, id, {"length": 32}, outputs)
        assert decode(answer.properties).values == outputs
        assert marked(answer.properties, "value")
        assert engine.diff(KEY, outputs, {"length": 32}, {"length": 32}).changes == NONE

    def test_another_length_replaces_it(self, engine: Engine) -> None:
        answer = engine.diff(KEY, {"length": 32, "value": "x"}, {"length": 64}, {"length": 32})
        assert list(answer.replaces) == ["length"]
        assert not answer.deleteBeforeReplace

    @pytest.mark.parametrize("length", [0, 7, 2000, "32", 1.5])
    def test_a_length_that_makes_no_sense_is_refused(self, engine: Engine, length: Any) -> None:
        assert [failure.property for failure in engine.check(KEY, {"length": length}).failures] == ["length"]


class TestCheck:
    def test_good_inputs_come_back_with_their_secrets_marked(self, engine: Engine, inputs: dict[str, Any]) -> None:
        answer = engine.check(ROLE, inputs)
        assert not answer.failures
        assert marked(answer.inputs, "secrets")
        assert decode(answer.inputs).values == inputs

    @pytest.mark.parametrize(
        ("change", "path", "words"),
        [
            ({"role": "nothing"}, "role", "there is no role 'nothing'"),
            ({"role": "../etc"}, "role", "no name of a role"),
            ({"vars": {"log": "/l", "colour": "blue"}}, "vars.colour", "must be one of"),
            ({"vars": {}}, "vars.log", "missing required"),
            ({"vars": {"log": "/l", "flavour": 1}}, "vars.flavour", "there is no argument"),
            ({"users": {"alice": {"uid": 1}}}, "users", "there is no argument"),
            ({"files": {"etc/a": file("x")}}, 'files["etc/a"]', "absolute path"),
            ({"files": {"/etc/a": file("x", "rw")}}, 'files["/etc/a"].mode', "octal"),
            ({"files": {"/etc/a": file("@@secret/no@@")}}, "secrets", "'no', which is not given"),
            ({"hosts": {"-oProxy": {"address": "::1"}}}, 'hosts["-oProxy"]', "no host name"),
            ({"hosts": {"a": {"address": "$(id)"}}}, 'hosts["a"].address', "no address"),
            ({"hosts": {"a": {"hostKey": "k\nevil"}}}, 'hosts["a"].hostKey', "known_hosts"),
        ],
    )
    def test_bad_inputs_are_refused_with_their_path(
        self, engine: Engine, inputs: dict[str, Any], change: dict[str, Any], path: str, words: str
    ) -> None:
        failures = {failure.property: failure.reason for failure in engine.check(ROLE, inputs | change).failures}
        assert path in failures
        assert words in failures[path]

    def test_the_hosts_of_another_site_are_refused(self, engine: Engine, inputs: dict[str, Any]) -> None:
        there = inputs | {"site": "dc1"}
        other = inputs | {"site": "dc2", "hosts": {"far": inputs["hosts"]["one"]}}
        (failure,) = engine.check(ROLE, other, there).failures
        assert failure.property == "site"
        assert "write 'dc1' first in `sites`" in failure.reason
        assert not engine.check(ROLE, other, inputs).failures, "what was written before sites had names"
        assert not engine.check(ROLE, other | {"site": "dc1"}, there).failures, "other hosts of the same site"
        assert not engine.check(ROLE, inputs | {"site": "berlin"}, there).failures, "a site with another name"

    def test_another_first_site_is_refused_before_anything_is_made(self, engine: Engine) -> None:
        there = {"home": {"site": "dc1", "hosts": ["a", "b"]}}
        other = {"home": {"site": "dc2", "hosts": ["c"]}}
        (failure,) = engine.check(IDENTITY, other, there).failures
        assert failure.property == "home"
        assert not engine.check(IDENTITY, other, {}).failures
        assert not engine.check(IDENTITY, other, {"home": {"site": "dc1", "hosts": []}}).failures
        assert engine.diff(IDENTITY, {**there, "platform": "p"}, other, there).changes == NONE

    def test_what_is_not_known_yet_is_not_judged(self, engine: Engine, inputs: dict[str, Any]) -> None:
        inputs["hosts"]["one"] |= {"hostKey": UNKNOWN, "instance": UNKNOWN}
        inputs["vars"]["log"] = UNKNOWN
        answer = engine.check(ROLE, inputs | {"secrets": UNKNOWN, "sshConfig": UNKNOWN})
        assert not answer.failures
        assert decode(answer.inputs).values["hosts"]["one"]["hostKey"] == UNKNOWN


@pytest.mark.usefixtures("without_ansible")
class TestRole:
    def test_it_runs_on_every_host_and_records_it(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path, runs: Any
    ) -> None:
        id, outputs = engine.create(ROLE, inputs)
        assert id
        assert runs() == ["one", "two"]
        assert outputs["applied"].keys() == {"one", "two"}
        assert (tmp_path / "one" / "etc.conf").read_text() == "colour=red\n"
        assert engine.diff(ROLE, outputs, inputs, inputs, id).changes == NONE

    def test_a_preview_touches_nothing(self, engine: Engine, inputs: dict[str, Any], tmp_path: Path) -> None:
        inputs["hosts"]["one"]["instance"] = UNKNOWN
        id, outputs = engine.create(ROLE, inputs | {"secrets": UNKNOWN}, preview=True)
        assert not id
        assert outputs["hosts"]["one"]["instance"] == UNKNOWN
        assert not (tmp_path / "one").exists()

    def test_only_the_host_that_differs_is_run_again(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path, runs: Any
    ) -> None:
        id, outputs = engine.create(ROLE, inputs)
        runs()
        news = copy.deepcopy(inputs)
        path = str(tmp_path / "two" / "etc.conf")
        news["hosts"]["two"]["files"][path]["content"] = "colour=green\n"
        answer = engine.diff(ROLE, outputs, news, inputs, id)
        assert list(answer.detailedDiff) == [f'hosts["two"].files["{path}"].content']
        engine.update(ROLE, id, inputs, outputs, news)
        assert runs() == ["two"]

    def test_a_failed_host_is_recorded_and_only_it_is_tried_again(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path, runs: Any
    ) -> None:
        obstacle = tmp_path / "two.broken"
        obstacle.touch()
        with pytest.raises(InitError) as caught:
            engine.create(ROLE, inputs)
        failed = caught.value
        assert failed.reasons == [f"two: Stumble: {obstacle} is in the way"]
        assert failed.outputs["applied"].keys() == {"one"}
        assert list(engine.diff(ROLE, failed.outputs, inputs, inputs, failed.id).detailedDiff) == ['failed["two"]']
        obstacle.unlink()
        runs()
        outputs = engine.update(ROLE, failed.id, inputs, failed.outputs, inputs)
        assert runs() == ["two"]
        assert outputs["failed"] == {}
        assert engine.diff(ROLE, outputs, inputs, inputs, failed.id).changes == NONE

    def test_a_host_that_leaves_is_torn_down_and_the_others_are_left_alone(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path, runs: Any
    ) -> None:
        id, outputs = engine.create(ROLE, inputs)
        runs()
        news = copy.deepcopy(inputs)
        del news["hosts"]["two"]
        assert list(engine.diff(ROLE, outputs, news, inputs, id).detailedDiff) == ['hosts["two"]']
        outputs = engine.update(ROLE, id, inputs, outputs, news)
        assert runs() == []
        assert not (tmp_path / "two" / "etc.conf").exists()
        assert (tmp_path / "one" / "etc.conf").exists()
        assert outputs["applied"].keys() == {"one"}

    def test_a_file_that_is_no_longer_planned_is_removed(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path
    ) -> None:
        extra = tmp_path / "extra" / "a.conf"
        inputs["files"] = {str(extra): file("x\n")}
        id, outputs = engine.create(ROLE, inputs)
        assert extra.exists()
        engine.update(ROLE, id, inputs, outputs, inputs | {"files": {}})
        assert not extra.exists()

    def test_another_role_replaces_it_after_the_old_one_is_gone(self, engine: Engine, inputs: dict[str, Any]) -> None:
        answer = engine.diff(ROLE, inputs | {"applied": {}}, inputs | {"role": "other"}, inputs)
        assert list(answer.replaces) == ["role"]
        assert answer.deleteBeforeReplace

    def test_changed_secrets_are_named_and_not_shown(self, engine: Engine, inputs: dict[str, Any]) -> None:
        answer = engine.diff(ROLE, inputs, inputs | {"secrets": {"db": "another-value"}}, inputs)
        assert list(answer.detailedDiff) == ["secrets"]
        assert "another-value" not in str(answer)

    def test_deleting_removes_what_was_written(self, engine: Engine, inputs: dict[str, Any], tmp_path: Path) -> None:
        id, outputs = engine.create(ROLE, inputs)
        engine.delete(ROLE, id, inputs, outputs)
        assert not (tmp_path / "one" / "etc.conf").exists()
        assert not (tmp_path / "two" / "etc.conf").exists()

    def test_reading_names_what_differs_and_an_update_mends_only_that_host(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path, runs: Any
    ) -> None:
        id, outputs = engine.create(ROLE, inputs)
        runs()
        path = tmp_path / "one" / "etc.conf"
        path.write_text("colour=blue\n")
        path.chmod(0o600)
        answer = engine.read(ROLE, id, inputs, outputs)
        assert decode(answer.inputs).values == inputs
        assert marked(answer.properties, "secrets")
        found = decode(answer.properties).values
        assert found["drift"].keys() == {"one"}
        sentence = found["drift"]["one"][f"file {path}"]
        assert "mode 0600 instead of 0644" in sentence
        assert "-colour=red\n+colour=blue" in sentence
        assert list(engine.diff(ROLE, found, inputs, inputs, id).detailedDiff) == [f'drift["one"]["file {path}"]']
        outputs = engine.update(ROLE, id, inputs, found, inputs)
        assert runs() == ["one"]
        assert outputs["drift"] == {}
        assert path.read_text() == "colour=red\n"
        assert decode(engine.read(ROLE, id, inputs, outputs).properties).values["drift"] == {}

    def test_what_a_refresh_found_is_kept_where_mending_fails(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path
    ) -> None:
        id, outputs = engine.create(ROLE, inputs)
        for host in ("one", "two"):
            (tmp_path / host / "etc.conf").write_text("colour=blue\n")
        found = decode(engine.read(ROLE, id, inputs, outputs).properties).values
        (tmp_path / "two.broken").touch()
        with pytest.raises(InitError) as caught:
            engine.update(ROLE, id, inputs, found, inputs)
        failed = caught.value.outputs
        assert failed["drift"] == {"two": found["drift"]["two"]}
        again = decode(engine.read(ROLE, id, inputs, failed).properties).values
        assert again["drift"] == failed["drift"]
        (tmp_path / "two.broken").unlink()
        assert engine.update(ROLE, id, inputs, again, inputs)["drift"] == {}

    def test_secrets_reach_the_host_and_nothing_else(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path
    ) -> None:
        path = tmp_path / "one" / "db.conf"
        inputs["hosts"]["one"]["files"] = {str(path): file("password=@@secret/db@@\n", "0600")}
        canary = inputs["secrets"]["db"]
        id, outputs = engine.create(ROLE, inputs)
        assert path.read_text() == f"password={canary}\n"
        del outputs["secrets"]
        assert canary not in json.dumps(outputs)
        path.write_text("password=by-hand\n")
        found = decode(engine.read(ROLE, id, inputs, outputs | {"secrets": inputs["secrets"]}).properties).values
        assert untouched(found["drift"]["one"][f"file {path}"]) == "content differs"

    def test_a_host_that_left_and_does_not_answer_is_kept_in_mind(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id, outputs = engine.create(ROLE, inputs)
        news = copy.deepcopy(inputs)
        del news["hosts"]["two"]
        answering = run.run

        def silent(job: Job, log: Any, cancelled: threading.Event) -> dict[str, Outcome]:
            if job.teardown:
                return {host: Outcome(reason="unreachable: no route", unreachable=True) for host in job.hosts}
            return answering(job, log, cancelled)

        monkeypatch.setattr(run, "run", silent)
        with pytest.raises(InitError, match="forgetUnreachable") as caught:
            engine.update(ROLE, id, inputs, outputs, news)
        kept = caught.value.outputs
        assert set(engine.diff(ROLE, kept, news, news, id).detailedDiff) == {'failed["two"]', 'leftovers["two"]'}
        monkeypatch.setattr(run, "run", answering)
        outputs = engine.update(ROLE, id, news, kept, news)
        assert not (tmp_path / "two" / "etc.conf").exists()
        assert engine.diff(ROLE, outputs, news, news, id).changes == NONE

    def test_a_host_that_left_unseen_and_comes_back_loses_what_went_meanwhile(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        extra = tmp_path / "two" / "extra.conf"
        inputs["hosts"]["two"]["files"][str(extra)] = file("x\n")
        id, outputs = engine.create(ROLE, inputs)
        without, back = copy.deepcopy(inputs), copy.deepcopy(inputs)
        del without["hosts"]["two"]
        del back["hosts"]["two"]["files"][str(extra)]
        silent = {"two": Outcome(reason="unreachable: no route", unreachable=True)}
        with monkeypatch.context() as patch, pytest.raises(InitError) as caught:
            patch.setattr(run, "run", lambda *_: silent)
            engine.update(ROLE, id, inputs, outputs, without)
        outputs = engine.update(ROLE, id, without, caught.value.outputs, back)
        assert not extra.exists()
        assert (tmp_path / "two" / "etc.conf").exists()
        assert outputs["leftovers"] == {}

    def test_hosts_that_are_gone_for_good_can_be_forgotten(
        self, engine: Engine, inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id, outputs = engine.create(ROLE, inputs)
        gone = {host: Outcome(reason="unreachable: no route", unreachable=True) for host in ("one", "two")}
        monkeypatch.setattr(run, "run", lambda *_: gone)
        with pytest.raises(grpc.RpcError, match="forgetUnreachable"):
            engine.delete(ROLE, id, inputs, outputs)
        engine.stub.Configure(provider_pb2.ConfigureRequest(args=encode({"forgetUnreachable": "true"})))
        engine.delete(ROLE, id, inputs, outputs)

    def test_a_new_machine_of_the_same_name_gets_everything_again(
        self, engine: Engine, inputs: dict[str, Any], runs: Any
    ) -> None:
        inputs["hosts"]["one"]["instance"] = "first"
        id, outputs = engine.create(ROLE, inputs)
        runs()
        news = copy.deepcopy(inputs)
        news["hosts"]["one"]["instance"] = UNKNOWN
        assert list(engine.diff(ROLE, outputs, news, inputs, id).detailedDiff) == ['hosts["one"].instance']
        news["hosts"]["one"]["instance"] = "second"
        engine.update(ROLE, id, inputs, outputs, news)
        assert runs() == ["one"]

    def test_another_way_to_a_host_runs_nothing_on_it(self, engine: Engine, inputs: dict[str, Any], runs: Any) -> None:
        id, outputs = engine.create(ROLE, inputs)
        runs()
        news = copy.deepcopy(inputs)
        news["hosts"]["one"]["address"] = "127.0.0.2"
        assert list(engine.diff(ROLE, outputs, news, inputs, id).detailedDiff) == ['hosts["one"].address']
        engine.update(ROLE, id, inputs, outputs, news)
        assert runs() == []

    def test_a_thousand_hosts_are_previewed_at_the_cost_of_seconds(
        self, engine: Engine, inputs: dict[str, Any]
    ) -> None:
        host = inputs["hosts"]["one"]
        inputs["hosts"] = {f"gpu{number:04d}": host for number in range(1024)}
        started = time.process_time()
        assert not engine.check(ROLE, inputs).failures
        engine.create(ROLE, inputs, preview=True)
        outputs = inputs | {"applied": wanted.digests(inputs, salt="id"), "failed": {}, "drift": {}, "leftovers": {}}
        assert engine.diff(ROLE, outputs, inputs, inputs).changes == NONE
        assert time.process_time() - started < 4  # CPU seconds of both ends: what else the machine does is not counted

    def test_cancelling_stops_ansible_and_records_what_is_done(
        self, engine: Engine, inputs: dict[str, Any], tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        gate.touch()
        inputs["vars"]["wait_for"] = str(gate)
        log = tmp_path / "runs"

        def cancel() -> None:
            while not log.exists():
                time.sleep(0.1)
            engine.stub.Cancel(Empty())

        canceller = threading.Thread(target=cancel, daemon=True)
        canceller.start()
        with pytest.raises(InitError) as caught:
            engine.create(ROLE, inputs)
        canceller.join(30)
        assert caught.value.reasons == ["one: stopped before it was done", "two: stopped before it was done"]
        assert caught.value.outputs["applied"] == {}
