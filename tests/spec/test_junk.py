"""No bytes at all make reading a spec fail in any way but its own."""

from __future__ import annotations

import random
import time

import pytest

from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import STACKS, loads

PIECES = [
    b"apiVersion", b"platform-iac/v1", b"name", b"sites", b"pools", b"teams", b"kind", b"lab", b"extends", b": ", b":",
    b"\n", b"  ", b"- ", b"? ", b"[", b"]", b"{", b"}", b",", b"'", b'"', b"&a ", b"*a", b"!!int ", b"!<", b"!", b"|\n",
    b">-\n", b"%YAML 9.9\n", b"%TAG ! a\n", b"---\n", b"...\n", b"#", b"\t", b"\\x", b'"\\U99999999"', b'"\\ud800"',
    b"\\",
    b"0x", b"0o9", b"1e999", b".nan", b"~", b"null", b"<<", b"\xff", b"\x00", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\r",
    b"9" * 40, b"{{", b"@", b"`", b"\xf0\x9f\xa6\x85",
]  # fmt: skip


def refuses_or_reads(data: bytes) -> None:
    try:
        loads(data)
    except SpecError as error:
        assert error.problems
        assert all(str(problem) for problem in error.problems)


def test_random_pieces_of_yaml_never_end_in_a_traceback() -> None:
    chance = random.Random(3)
    deadline = time.monotonic() + 4
    for _ in range(4000):
        refuses_or_reads(b"".join(chance.choices(PIECES, k=chance.randrange(1, 25))))
        if time.monotonic() > deadline:
            break


def test_random_bytes_never_end_in_a_traceback() -> None:
    chance = random.Random(4)
    for _ in range(1000):
        refuses_or_reads(chance.randbytes(chance.randrange(60)))


def test_a_good_spec_with_damage_never_ends_in_a_traceback() -> None:
    chance = random.Random(5)
    good = (STACKS / "lab.yaml").read_bytes()
    deadline = time.monotonic() + 4
    for _ in range(150):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            start = chance.randrange(len(data))
            data[start : start + chance.randrange(12)] = chance.choice(PIECES)
        refuses_or_reads(bytes(data))
        if time.monotonic() > deadline:
            break


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b"{a: " * 50_000, b"- " * 100_000, b"? " * 100_000, b"a: &x [" * 10_000, b"!" * 100_000,
     b"'" * 99_999, b"a: |\n" + b" " * 100_000, b"#" * 500_000, b"\n" * 500_000, b"a:" * 100_000, b"&" * 100_000],
    ids=["list", "map", "dash", "question", "anchor", "tag", "quote", "block", "comment", "line", "colon", "ampersand"],
)  # fmt: skip
def test_hostile_documents_are_refused_soon(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(SpecError):
        loads(data)
    assert time.process_time() - started < 5


MANY = 2000


@pytest.mark.parametrize(
    "text",
    [
        "pools:\n" + "".join(f"  p{n}: {{site: s, hosts: 'a[1-60000]'}}\n" for n in range(MANY)),
        "pools:\n" + "".join(f"  p{n}: {{site: s{n}, hosts: x{n}}}\n" for n in range(MANY)),
        "sites:\n" + "".join(f"  s{n}: {{kind: lab, domain: a.b, network: 10.0.0.0/8}}\n" for n in range(MANY)),
        "teams:\n" + "".join(f"  t{n}: {{members: {{alice: {{uid: 20000}}}}}}\n" for n in range(MANY)),
        "teams: {" + ", ".join(f"t{n}: {{shaer: 1}}" for n in range(MANY)) + "}",
        "sites: {s: {kind: lab, domain: a.b, network: 10.0.0.0/8}}\npools:\n"
        + "".join(f"  p{n}: {{site: s, duty: edge, hosts: a{n}, addresses: 10.0.0.5}}\n" for n in range(MANY)),
    ],
    ids=["hosts", "references", "sites", "people", "keys", "addresses"],
)
def test_thousands_of_errors_are_found_soon(text: str) -> None:
    started = time.process_time()
    with pytest.raises(SpecError):
        loads("apiVersion: platform-iac/v1\nname: lab\n" + text)
    assert time.process_time() - started < 5
