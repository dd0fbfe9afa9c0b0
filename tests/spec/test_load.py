from __future__ import annotations

import time
from pathlib import Path

import pytest

from platform_iac.spec import document
from platform_iac.spec.errors import Mark, SpecError, SpecNotFoundError
from platform_iac.spec.load import STACKS, from_data, load, loads, locate, stacks

HEAD = "apiVersion: platform-iac/v1\nname: lab\n"


@pytest.mark.parametrize("stack", stacks())
def test_every_stack_of_the_repository_loads(stack: str) -> None:
    assert load(stack) == load(STACKS / f"{stack}.yaml")


def test_the_lab_has_three_nodes_with_four_gpus_of_one_type() -> None:
    gpu = load("lab").pools["gpu"]
    assert gpu.addressed() == [("gpu01", "10.77.0.21"), ("gpu02", "10.77.0.22"), ("gpu03", "10.77.0.23")]
    assert [(item.model, item.count) for item in gpu.resolved_hardware().gpus] == [("h100", 4)]


def test_falcon_has_three_environments_on_one_base() -> None:
    found = [load(stack) for stack in ("falcon-dev", "falcon-staging", "falcon")]
    assert [each.environment for each in found] == ["development", "staging", "production"]
    assert [len(each.pools["gpu"].names) for each in found] == [2, 4, 31]
    assert {each.pools["gpu"].resolved_hardware().gpu_count for each in found} == {8}
    assert {each.teams["vision"].share for each in found} == {60}


def test_a_base_is_no_stack() -> None:
    assert "_falcon" not in stacks()
    with pytest.raises(SpecNotFoundError, match="there is no stack '_falcon'"):
        load("_falcon")


def test_only_version_and_name_are_required() -> None:
    platform = loads(HEAD)
    assert (platform.name, platform.pools, platform.fabric, platform.scheduler) == ("lab", {}, None, None)


def test_data_is_checked_as_a_file_is() -> None:
    assert from_data({"apiVersion": "platform-iac/v1", "name": "lab"}) == loads(HEAD)
    with pytest.raises(SpecError, match="there is no such key"):
        from_data({"apiVersion": "platform-iac/v1", "name": "lab", "teem": {}})


def test_a_stack_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SpecNotFoundError, match="did you mean `lab`"):
        load("labb")


@pytest.mark.parametrize("path", ["/nowhere/a.yaml", "/", "/dev/zero", "a\0.yaml", "/etc/shadow/x.yaml"])
def test_what_is_no_readable_file_is_no_traceback(path: str) -> None:
    with pytest.raises(SpecNotFoundError, match=" — "):
        load(path)


def test_a_name_is_a_file_of_the_stacks_folder_and_a_path_is_itself() -> None:
    assert locate("lab") == STACKS / "lab.yaml"
    assert locate("some/lab.yaml") == Path("some/lab.yaml")


def test_an_error_is_a_value_error_that_carries_every_problem() -> None:
    with pytest.raises(ValueError, match="no name") as caught:
        loads("apiVersion: platform-iac/v1\nname: A\nenvironment: B\n", "spec.yaml")
    assert isinstance(caught.value, SpecError)
    assert [problem.mark for problem in caught.value.problems] == [Mark("spec.yaml", 2, 7), Mark("spec.yaml", 3, 14)]


def test_a_long_list_of_problems_is_cut_but_counted() -> None:
    with pytest.raises(SpecError) as caught:
        loads(HEAD + "".join(f"x{number}: 1\n" for number in range(200)))
    assert len(caught.value.problems) == 200
    assert str(caught.value).endswith("… and 150 more — mend these first")


def test_a_reference_to_a_part_that_is_itself_wrong_is_no_second_error() -> None:
    with pytest.raises(SpecError) as caught:
        loads(HEAD + "sites: {a: {kind: lab}}\npools: {p: {site: a, duty: login, hosts: h1, addresses: 10.0.0.5}}\n")
    assert {problem.path[:2] for problem in caught.value.problems} == {("sites", "a")}


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    started = time.process_time()
    with pytest.raises(SpecError, match="more than 1,048,576 bytes"):
        loads(HEAD + "# " + "x" * document.MOST_BYTES)
    assert time.process_time() - started < 0.5


def test_a_document_with_too_many_values_is_stopped() -> None:
    with pytest.raises(SpecError, match="more than 50,000 values"):
        loads(HEAD + "teams: [" + "1," * 60_000 + "]")


def test_a_list_is_refused_where_a_kind_is_expected() -> None:
    with pytest.raises(SpecError, match=r"sites\.a: expected a map, found a list"):
        loads(HEAD + "sites: {a: []}")


def test_an_unknown_kind_is_answered_with_the_kinds_there_are() -> None:
    with pytest.raises(SpecError, match=r"no site kind 'labb' — did you mean `lab`\? there are: .*lab.*onprem"):
        loads(HEAD + "sites: {a: {kind: labb}}")


def test_a_partition_of_an_unknown_pool_is_refused_at_its_place() -> None:
    with pytest.raises(SpecError, match=r"^spec.yaml:3:68 scheduler.partitions.gpu.pools\[0\]: nothing in `pools` is"):
        loads(HEAD + "scheduler: {kind: slurm, partitions: {gpu: {default: true, pools: [gpus]}}}\n", "spec.yaml")


def test_more_hosts_than_any_platform_has_are_refused() -> None:
    pool = "{{site: a, duty: compute, hosts: 'h{0}-[1-9000]', addresses: 10.{0}0.0.1}}"
    pools = "".join(f"  p{number}: {pool.format(number)}\n" for number in range(1, 4))
    with pytest.raises(SpecError, match="ask for 27,000 hosts — a platform has 20,000 at most"):
        loads(HEAD + "sites: {a: {kind: lab, domain: a.b, network: 10.0.0.0/8}}\npools:\n" + pools)


def test_sites_do_not_share_a_network() -> None:
    one = "{kind: lab, domain: a.b, network: 10.1.0.0/16}"
    two = "{kind: lab, domain: c.d, network: 10.1.2.0/24}"
    with pytest.raises(SpecError, match=r"10\.1\.2\.0/24 overlaps 10\.1\.0\.0/16 of site `one`"):
        loads(HEAD + f"sites: {{one: {one}, two: {two}}}")


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    assert loads(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode()).name == "lab"


def test_a_thousand_nodes_and_two_thousand_people_load_fast() -> None:
    people = "".join(f"      u{number}: {{uid: {20000 + number}}}\n" for number in range(2000))
    pool = "  gpu: {site: dc, duty: compute, hosts: 'gpu[0001-1024]', addresses: 10.0.1.1, hardware: dgx-h100}\n"
    text = HEAD + "sites: {dc: {kind: lab, domain: a.b, network: 10.0.0.0/16}}\npools:\n" + pool
    started = time.process_time()
    assert len(loads(text).pools["gpu"].addressed()) == 1024
    assert time.process_time() - started < 0.1
    started = time.process_time()
    assert len(loads(text + "teams:\n  all:\n    members:\n" + people).teams["all"].members) == 2000
    assert time.process_time() - started < 3
