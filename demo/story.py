"""The story, in four chapters. Each step is a real command, and a step that ends otherwise than told ends the story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.scene import Scene

SSHD: Final = "roles/base/templates/sshd.conf.j2"
BRANCH: Final = "bob-logs-in"


def pull_request(scene: Scene, tell: Callable[[str], None]) -> None:
    """A change that breaks a policy, and its fix."""
    production = scene.stack("production")
    tell("## A pull request breaks a policy")
    tell(
        "bob joins the team and cannot log in. The quick way is a password: a change of one word in a template. What "
        "it does is asked of production, as that is where it shall end; no machine runs yet, and no host or credential "
        "is needed."
    )
    scene.run("git", "switch", "--quiet", "--create", BRANCH)
    scene.edit(SSHD, "PasswordAuthentication no", "PasswordAuthentication yes")
    scene.run("git", "commit", "--quiet", "--all", "--message", "Let people log in by password")
    scene.run("git", "push", "--quiet", "origin", BRANCH)
    scene.run("platform-iac", "review", production, "--base", "origin/main", expect=1)
    tell("## The fix")
    tell("bob has a key like everybody else. The template stays as it was, and the spec gets bob.")
    scene.edit(SSHD, "PasswordAuthentication yes", "PasswordAuthentication no")
    key = scene.quietly("ssh-keygen", "-y", "-f", "../carol").strip()  # any key will do: nobody is bob
    scene.edit(
        "stacks/_demo.yaml",
        "      alice: {uid: 20001}\n",
        f"      alice: {{uid: 20001}}\n      bob: {{uid: 20002, authorized_keys: [{' '.join(key.split()[:2])}]}}\n",
    )
    scene.run("git", "commit", "--quiet", "--all", "--message", "bob logs in with a key")
    scene.run("git", "push", "--quiet", "origin", BRANCH)
    scene.run("platform-iac", "review", production, "--base", "origin/main")
    scene.run("git", "switch", "--quiet", "main")
    scene.run("git", "merge", "--quiet", "--no-ff", "--message", "bob logs in with a key", BRANCH)
    scene.run("git", "push", "--quiet", "origin", "main")


def promotion(scene: Scene, tell: Callable[[str], None]) -> None:
    """The merged release on its way to production."""
    production = scene.stack("production")
    tell("## To production")
    tell("Nothing goes to production at once: it was not tried below, and nobody approved it.")
    scene.promote("production", expect=1)
    tell("So it goes through development first. Each of the three is a twin with one machine, made now.")
    scene.promote("dev")
    scene.promote("staging")
    tell("carol looks at what staging has, and approves; alice cannot do that for herself.")
    scene.approve("production")
    scene.promote("production")
    scene.run("platform-iac", "ssh", "--stack", production, "mirror01", "getent", "passwd", "bob")
    tell("All of it is written down, in lines that were signed and that hold each other's hashes.")
    scene.run("platform-iac", "evidence")
    scene.run("git", "add", "evidence")
    scene.run("git", "commit", "--quiet", "--message", "Evidence")
    scene.run("git", "push", "--quiet", "origin", "main")


def drift(scene: Scene, tell: Callable[[str], None]) -> None:
    """A change by hand, found and mended."""
    production = scene.stack("production")
    tell("## Drift")
    tell("Somebody opens production to passwords by hand after all. The next look at it finds the line.")
    config = "/etc/ssh/sshd_config.d/10-platform.conf"
    by_hand = ("sed", "-i", "/^PasswordAuthentication/s/no/yes/", config)
    scene.run("platform-iac", "ssh", "--stack", production, "mirror01", *by_hand)
    scene.run("platform-iac", "drift", production, expect=1)
    scene.run("platform-iac", "up", production)
    scene.run("platform-iac", "drift", production)


CHAPTERS: Final = (pull_request, promotion, drift)
