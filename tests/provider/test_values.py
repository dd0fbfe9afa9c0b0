"""Pulumi's values on the wire and back."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from platform_iac.provider.values import OUTPUT, SIGNATURE, UNKNOWN, UNKNOWN_TEXTS, decode, encode, known

PLAIN: dict[str, Any] = {
    "text": "ü\n{{ x }}",
    "whole": 3,
    "half": 0.5,
    "yes": True,
    "list": [1, "a", {"b": []}],
    "map": {"/etc/a.conf": {"mode": "0400"}, "empty": {}},
}


def test_what_is_encoded_is_decoded() -> None:
    decoded = decode(encode(PLAIN))
    assert decoded.values == PLAIN
    assert isinstance(decoded.values["whole"], int)
    assert decoded.secrets == set()


def test_null_properties_are_left_out_and_null_inside_is_kept() -> None:
    assert decode(encode({"a": None, "b": [None]})).values == {"b": [None]}


def test_secrets_are_unwrapped_and_named() -> None:
    decoded = decode(encode({"secrets": {"db": "x"}, "open": 1}, {"secrets"}))
    assert decoded.values == {"secrets": {"db": "x"}, "open": 1}
    assert decoded.secrets == {"secrets"}


def test_a_secret_deep_inside_marks_its_property() -> None:
    inner = encode({"value": "x"}, {"value"})
    outer = Struct()
    outer.fields["vars"].struct_value.CopyFrom(inner)
    assert decode(outer).secrets == {"vars"}


@pytest.mark.parametrize("text", sorted(UNKNOWN_TEXTS))
def test_every_unknown_is_unknown(text: str) -> None:
    assert decode(encode({"a": text})).values == {"a": UNKNOWN}


def test_unknown_survives_the_round_trip() -> None:
    assert decode(encode({"a": [UNKNOWN]})).values == {"a": [UNKNOWN]}


@pytest.mark.parametrize(
    ("extra", "value", "secrets"), [({"value": 1, "secret": True}, 1, {"a"}), ({}, UNKNOWN, set())]
)
def test_output_values_are_unwrapped(extra: dict[str, Any], value: Any, secrets: set[str]) -> None:
    decoded = decode(encode({"a": {SIGNATURE: OUTPUT, **extra}}))
    assert decoded.values == {"a": value}
    assert decoded.secrets == secrets


def test_assets_are_refused() -> None:
    with pytest.raises(ValueError, match="assets"):
        decode(encode({"a": {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17"}}))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        encode({"a": {1}})


@pytest.mark.parametrize(("value", "answer"), [(1, True), ({"a": [1, UNKNOWN]}, False), (UNKNOWN, False), ([], True)])
def test_known_looks_everywhere(value: Any, answer: bool) -> None:
    assert known(value) is answer
