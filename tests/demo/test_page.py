"""What a run of the demonstration leaves as a page."""

from __future__ import annotations

from demo.__main__ import Page
from demo.story import CHAPTERS
from platform_iac.spec.load import STACKS

ENGINE = """\
@ updating....
 +  platform:lab:Network demo-dev-lab creating (0s)
 +  platform:lab:Network demo-dev-lab created (0.12s)
 ~  platform:ansible:Role base updating (0s) [diff: -drift]; waits for its turn
 ~  platform:ansible:Role base updated (11s) [diff: -drift]
 -  platform:lab:Machine demo-dev-lab-mirror01 deleting (0s)
@@ -1,3 +1,3 @@
"""


def test_a_page_keeps_what_was_said_but_for_the_engines_progress() -> None:
    page = Page()
    page.tell("## A chapter")
    page.show("$ platform-iac up demo-dev")
    for line in ENGINE.splitlines():
        page.show(line)
    assert page.markdown().endswith(
        "## A chapter\n\n````console\n$ platform-iac up demo-dev\n"
        " +  platform:lab:Network demo-dev-lab created (0.12s)\n"
        " ~  platform:ansible:Role base updated (11s) [diff: -drift]\n"
        "@@ -1,3 +1,3 @@\n````\n"
    )


def test_the_committed_page_has_every_chapter_of_the_story() -> None:
    text = (STACKS.parent / "docs" / "demo-promotion.md").read_text(encoding="utf-8")
    assert text.startswith(Page().markdown())
    for heading in ("A pull request breaks a policy", "The fix", "To production", "Drift", "The end"):
        assert f"## {heading}" in text
    for said in (
        "❌ refused by policy",
        "is refused; nothing was touched",
        "3 checks passed",
        "content differs",
        "has been removed",
    ):
        assert said in text
    assert len(CHAPTERS) == 3
