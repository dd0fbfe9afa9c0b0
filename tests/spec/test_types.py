"""Words of the spec, good and bad; every refusal says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from platform_iac.spec import types

GOOD: list[tuple[Any, list[Any]]] = [
    (types.Label, ["a", "gpu-01", "a" * 63, "0ad"]),
    (types.Domain, ["lab.example.net", "local", "a-b.c1"]),
    (types.IPv4, ["10.77.0.1", "255.255.255.255"]),
    (types.Cidr, ["10.0.0.0/8", "10.77.0.0/24", "192.0.2.252/30"]),
    (types.AbsolutePath, ["/srv", "/srv/mirror-1/a_b/c.d", "/a+b"]),
    (types.FilePath, ["falcon.ssh_config", "/etc/ssh/known_hosts", "keys/a", "/home/ops/.ssh/config"]),
    (types.UserName, ["alice", "a_b-c1", "a" * 31]),
    (types.Uid, [1000, 20001, 59999]),
    (types.SafeText, ["", "Zoë’s platform", "a: b"]),
    (types.WallTime, ["7-00:00:00", "00:30:00", "0-04:00:00"]),
    (types.Port, [1, 5000, 65535]),
    (types.PublicKey, ["ssh-ed25519 " + "A" * 68, "ssh-rsa " + "A" * 370 + "== bob@host"]),
]
BAD: list[tuple[Any, list[Any]]] = [
    (types.Label, ["", "A", "-a", "a-", "a_b", "a.b", "a" * 64, "ä", "a\n", "a b"]),
    (types.Domain, ["", "a..b", ".a", "a.", "A.b", "a_b", ".".join(["a" * 60] * 4)]),
    (types.IPv4, ["", "10.0.0", "10.0.0.256", "010.0.0.1", "::1", "10.0.0.1/24", "1\n"]),
    (types.Cidr, ["10.0.0.0", "10.0.0.1/24", "10.0.0.0/31", "0.0.0.0/0", "10.0.0.0/255.0.0.0x", "::/64"]),
    (types.AbsolutePath, ["", "srv", "/", "/a/", "/a/../b", "/a b", "/a;b", "/$HOME", "//a", "/a\n", "/-rf"]),
    (types.FilePath, ["", ".", "..", "../a", "a/../b", "a/./b", "/..", "-o", "a b", "~/a", "a\0"]),
    (types.UserName, ["", "Alice", "1a", "root", "slurm", "_apt", "systemd-network", "a" * 32, "al ice", "älice"]),
    (types.Uid, [0, 999, 60000, -1]),
    (types.SafeText, [" a", "a ", "a\nb", "a\tb", "a" * 201]),
    (types.WallTime, ["", "1", "30:00", "00:60:00", "00:00:00", "7 days", "7-00:00"]),
    (types.Port, [0, 65536]),
    (types.PublicKey, ["", "ssh-dss " + "A" * 68, "ssh-ed25519", 'command="x" ssh-ed25519 ' + "A" * 68, "A" * 68]),
]


def cases(table: list[tuple[Any, list[Any]]]) -> list[tuple[Any, Any]]:
    return [(kind, value) for kind, values in table for value in values]


@pytest.mark.parametrize(("kind", "value"), cases(GOOD))
def test_a_good_word_is_taken_as_it_is(kind: Any, value: Any) -> None:
    assert TypeAdapter(kind).validate_python(value, strict=True) == value


@pytest.mark.parametrize(("kind", "value"), cases(BAD))
def test_a_bad_word_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value, strict=True)
    assert all(" — " in error["msg"] or error["type"] != "spec" for error in caught.value.errors())


def test_a_wall_time_has_seconds() -> None:
    assert types.wall_seconds("7-01:02:03") == ((7 * 24 + 1) * 60 + 2) * 60 + 3


def test_a_relative_file_must_be_in_the_folder_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    path = TypeAdapter(types.FilePath)
    assert path.validate_python("there", context={"folder": tmp_path}) == "there"
    assert path.validate_python("/not/here", context={"folder": tmp_path}) == "/not/here"
    with pytest.raises(ValidationError, match="no file 'missing' in the spec's folder"):
        path.validate_python("missing", context={"folder": tmp_path})


def test_a_reference_is_checked_against_the_names_of_the_spec() -> None:
    pool = TypeAdapter(types.PoolName)
    assert pool.validate_python("gpu", context={"pools": {"gpu": None}}) == "gpu"
    with pytest.raises(ValidationError, match="did you mean `gpu`"):
        pool.validate_python("gpus", context={"pools": {"gpu": None}})
