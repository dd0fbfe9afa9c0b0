"""Secrets as text: hexadecimal, or a key as Ceph's keyrings have it."""

from __future__ import annotations

import base64

import pytest

from platform_iac.provider.secret import Key, draw


def test_a_hexadecimal_secret_has_two_characters_a_byte_and_is_never_the_same() -> None:
    assert len(bytes.fromhex(draw(24, "hex"))) == 24
    assert draw(16, "hex") != draw(16, "hex")


def test_a_cephx_key_begins_as_cephs_own_do() -> None:
    # `ceph-authtool --gen-print-key` prints `AQ…==`: type 1, time, length 16, key.
    key = base64.b64decode(draw(16, "cephx"), validate=True)
    assert key[:2] == b"\x01\x00"
    assert key[10:12] == b"\x10\x00"
    assert len(key) == 12 + 16
    assert draw(16, "cephx") != draw(16, "cephx")


@pytest.mark.parametrize(
    ("inputs", "failure"),
    [
        ({"length": 24, "form": "cephx"}, "must be 16 bytes for a cephx key, not 24"),
        ({"length": 16, "form": "pem"}, "must be `hex` or `cephx`, not 'pem'"),
        ({"length": 7}, "must be 8 to 1024 bytes, not 7"),
    ],
)
def test_what_cannot_be_drawn_is_refused(inputs: dict[str, object], failure: str) -> None:
    _, failures = Key().check({}, inputs)
    assert [found.reason for found in failures] == [failure]


def test_another_form_is_another_key_and_an_old_one_stays() -> None:
    old = {"length": 16, "value": "00"}
    assert not Key().diff("1", {}, old, {"length": 16}).changes
    assert Key().diff("1", {}, old, {"length": 16, "form": "cephx"}).replaces == ("form",)
