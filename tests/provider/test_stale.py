"""What is to be removed from hosts, also when an earlier run could not."""

from __future__ import annotations

from typing import Any

from platform_iac.provider import stale

CONF = {"content": "x", "mode": "0644"}
OLD: dict[str, Any] = {
    "role": "slurm",
    "files": {"/etc/a": CONF, "/etc/b": CONF},
    "units": {"a.service": {"restart_on": ["/etc/a", "/etc/b"]}, "b.service": {}},
    "hosts": {"one": {"address": "1", "hostKey": "k", "files": {"/etc/own": CONF}}, "two": {"address": "2"}},
}
DONE = {"applied": {"one": "d", "two": "d"}}


def test_nothing_changed_is_nothing_stale() -> None:
    assert stale.find(OLD, DONE, OLD) == {}


def test_files_and_units_that_went_are_removed_and_their_units_follow() -> None:
    news = OLD | {"files": {"/etc/a": CONF}, "units": {"a.service": {"restart_on": ["/etc/a"]}}}
    assert stale.find(OLD, DONE, news)["two"] == {
        "files": {"/etc/b": CONF},
        "units": {"b.service": {}},
        "watchers": {"a.service": OLD["units"]["a.service"]},
    }


def test_a_file_that_moved_from_all_hosts_to_one_stays_there() -> None:
    hosts = {"one": {"address": "1", "files": {"/etc/a": CONF, "/etc/own": CONF}}, "two": {"address": "2"}}
    found = stale.find(OLD, DONE, OLD | {"files": {"/etc/b": CONF}, "hosts": hosts})
    assert found.keys() == {"two"}


def test_a_host_that_left_keeps_what_its_teardown_needs() -> None:
    news = OLD | {"hosts": {"two": {"address": "2"}}}
    left = stale.find(OLD, DONE, news)["one"]
    job = stale.teardown_of(left, "one", news | {"sshConfig": "/c", "secrets": {"s": "v"}})
    assert job.teardown
    assert job.hosts == ("one",)
    assert job.inputs["hosts"] == {"one": {"address": "1", "hostKey": "k"}}
    assert job.inputs["files"].keys() == {"/etc/a", "/etc/b", "/etc/own"}
    assert job.inputs["sshConfig"] == "/c"
    assert "secrets" not in left


def test_a_host_that_was_never_done_needs_no_teardown() -> None:
    assert stale.find(OLD, {"applied": {"two": "d"}}, OLD | {"hosts": {"two": {"address": "2"}}}) == {}


def test_a_host_that_left_takes_along_what_could_not_be_removed_before() -> None:
    earlier = DONE | {"leftovers": {"one": {"files": {"/etc/c": CONF}, "units": {"c.service": {}}}}}
    left = stale.find(OLD, earlier, OLD | {"hosts": {"two": {"address": "2"}}})["one"]
    assert left["files"].keys() == {"/etc/a", "/etc/b", "/etc/c", "/etc/own"}
    assert left["units"].keys() == {"a.service", "b.service", "c.service"}


def test_a_host_that_comes_back_loses_what_is_no_longer_planned() -> None:
    without = OLD | {"hosts": {"two": {"address": "2"}}, "files": {"/etc/a": CONF}}
    outputs = {"applied": {"two": "d"}, "leftovers": stale.find(OLD, DONE, without)}
    back = OLD | {"files": {"/etc/a": CONF}, "units": {"a.service": OLD["units"]["a.service"]}}
    assert stale.find(without, outputs, back)["one"] == {
        "files": {"/etc/b": CONF},
        "units": {"b.service": {}},
        "watchers": {"a.service": OLD["units"]["a.service"]},
    }
    assert "one" not in stale.find(without, outputs, OLD)


def test_what_a_run_that_died_had_begun_is_removed_when_the_spec_goes_back() -> None:
    begun = OLD | {
        "files": OLD["files"] | {"/etc/c": CONF},
        "hosts": OLD["hosts"] | {"three": {"address": "3"}},
    }
    outputs = {"applied": {"one": "", "two": ""}, "begun": begun}
    found = stale.find(OLD, outputs, OLD)
    assert found["one"]["files"] == found["two"]["files"] == {"/etc/c": CONF}
    assert found["three"]["teardown"]
    assert stale.find(OLD, outputs, begun) == {}, "what is planned again is no leftover"


def test_what_could_not_be_removed_is_remembered() -> None:
    news = OLD | {"files": {"/etc/a": CONF}}
    earlier = {"applied": {}, "leftovers": {"one": {"files": {"/etc/b": CONF}}, "gone": {"teardown": True}}}
    found = stale.find(news, earlier, news)
    assert found["one"]["files"] == {"/etc/b": CONF}
    assert found["gone"] == {"teardown": True}
