"""What Pulumi hands to a policy, as plain data."""

from __future__ import annotations

import pytest
from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.pack import plain
from policies.values import UNKNOWN, UnjudgedError, View


def test_what_pulumi_does_not_know_yet_stays_unknown_however_deep() -> None:
    props = unknown_checking_proxy(
        {
            "role": "base",
            "files": {"/a": {"content": UNKNOWN_STRING_VALUE}},
            "list": [1, UNKNOWN_OBJECT_VALUE],
            "no": None,
        }
    )
    found = plain(props)
    assert found["role"] == "base"
    assert found["files"]["/a"]["content"] is UNKNOWN
    assert found["list"] == [1, UNKNOWN]
    assert found["no"] is None
    with pytest.raises(UnjudgedError, match=r"files\./a\.content is not known before the update"):
        View(found).text("files", "/a", "content")


def test_nothing_below_an_unknown_value_is_taken_for_absent() -> None:
    with pytest.raises(UnjudgedError, match="a is not known"):
        View({"a": UNKNOWN}).at("a", "b", "c")
    with pytest.raises(UnjudgedError):
        list(View({"a": UNKNOWN}).at("a").items())
    with pytest.raises(UnjudgedError):
        View({"a": UNKNOWN}).flag("a")
