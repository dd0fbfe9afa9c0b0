"""The workflows' steps, run here in a clone of a bare repository: what they print, write, refuse and push."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from platform_iac.promotion import signature
from tests.ci.forge import ELSEWHERE, TOP, GitHub, GitLab, git

pytestmark = pytest.mark.engine

SPEC = """\
apiVersion: platform-iac/v1
name: falcon
environment: staging
sites: {dc: {kind: onprem, domain: a.b, network: 10.0.0.0/16, access: {ssh_config: /etc/a, known_hosts: /etc/b}}}
pools:
  ctl: {site: dc, duty: controller, hosts: ctl01, addresses: 10.0.0.1}
  login: {site: dc, duty: login, hosts: login01, addresses: 10.0.0.2}
  gpu: {site: dc, duty: compute, hosts: "gpu[1-3]", addresses: 10.0.1.1, hardware: dgx-h100}
scheduler: {kind: slurm, partitions: {gpu: {pools: [gpu], default: true, max_time: 7-00:00:00}}}
teams: {vision: {share: 3, members: {alice: {uid: 20001}}}}
"""
OTHER = """\
apiVersion: platform-iac/v1
name: eagle
environment: production
promotion: {after: falcon}
sites:
  dc:
    kind: onprem
    domain: a.b
    network: 10.1.0.0/16
    time_servers: [10.1.0.9]
    access: {ssh_config: /etc/a, known_hosts: /etc/b}
pools: {svc: {site: dc, duty: services, hosts: svc01, addresses: 10.1.0.1}}
"""
BROKEN = ("scheduler: {kind: slurm,", "scheduler: {kind: slurm, memory_reserved_gib: 0,")
PULUMI_DOUBLE = """#!/bin/sh
case "$1 $2" in
"version "*) echo v3.999.0 ;;
"stack export") cat {state} ;;
"preview --json") printf '{{\\n"steps": []}}' ;;
"up --yes") exit 255 ;;
esac
"""
PASSPHRASE, KEY = "correct-horse", "key-of-the-forge"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with this checkout's code, two small stacks, and a double of the set-up."""
    home = tmp_path_factory.mktemp("origin")
    tree = home / "tree"
    for part in ("platform_iac", "policies", "roles", "tools"):
        shutil.copytree(TOP / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("Makefile", ".gitignore", "pyproject.toml", "requirements.lock", "Pulumi.yaml"):
        shutil.copy(TOP / part, tree / part)
    (tree / "tools" / "setup").write_text("#!/bin/sh\necho 'double of the set-up: .venv is there'\n")
    (tree / "stacks").mkdir()
    (tree / "stacks" / "falcon.yaml").write_text(SPEC)
    (tree / "stacks" / "eagle.yaml").write_text(OTHER)
    (tree / "evidence").mkdir()
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ci", "-f", str(home / "key")]
    subprocess.run(argv, check=True, timeout=30)
    public = (home / "key.pub").read_text()
    (tree / "evidence" / "allowed_signers").write_text(f'ci@example.net namespaces="{signature.NAMESPACE}" {public}')
    git(tree, "init", "-q", "--initial-branch=main")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "first")
    git(home, "clone", "-q", "--bare", "tree", "remote.git")
    shutil.rmtree(tree)
    return home


@pytest.fixture
def remote(origin: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(origin / "remote.git", tmp_path / "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture
def comments(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeDouble]:
    """A double of both forges' comments."""
    double = ForgeDouble()
    yield double
    double.close()


OTHERS = {6: "<!-- platform-iac review -->\na stranger's review", 7: "somebody's words"}
"""Comments that are not the job's; the first begins as one of the job's does."""


class ForgeDouble:
    """Keeps comments as GitHub's and GitLab's interfaces do, and who wrote them."""

    def __init__(self) -> None:
        self.kept: dict[int, str] = dict(OTHERS)
        self.tokens: set[str] = set()
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/user":
                    self.answer({"id": 11})
                else:
                    self.answer([self.comment(number, body) for number, body in double.kept.items()])

            def comment(self, number: int, body: str) -> dict[str, Any]:
                login, user = ("mallory", 12) if number in OTHERS else ("github-actions[bot]", 11)
                by = {"user": {"login": login}} if "/comments" in self.path else {"author": {"id": user}}
                return {"id": number, "body": body, **by}

            def do_POST(self) -> None:
                double.kept[max(double.kept) + 1] = self.body()
                self.answer({})

            def do_PATCH(self) -> None:
                number = int(self.path.rsplit("/", 1)[1])
                assert number in double.kept.keys() - OTHERS.keys()
                double.kept[number] = self.body()
                self.answer({})

            do_PUT = do_PATCH  # noqa: N815  the name is the interface's

            def body(self) -> str:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                return str(content["body"])

            def answer(self, content: Any) -> None:
                assert "/comments" in self.path or "/notes" in self.path or self.path == "/user"
                double.tokens.add(self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization", ""))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def github(remote: Path, comments: ForgeDouble | None = None, *, fork: bool = False, **variables: str) -> GitHub:
    home = remote.parent
    (home / "artifacts").mkdir(exist_ok=True)
    head = "mallory/platform" if fork else "acme/platform"
    event: dict[str, Any] = {"repository": {"default_branch": "main"}}
    event |= {
        "number": 5,
        "pull_request": {"number": 5, "head": {"repo": {"full_name": head}}, "base": {"sha": "main"}},
    }
    secrets = {} if fork else {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PROMOTION_KEY": KEY}
    context = {
        "github": {
            "repository": "acme/platform",
            "token": "read-only" if fork else "of-the-run",
            "event": event,
            "ref": "refs/heads/main",
        },
        "vars": variables,
        "secrets": secrets,
        "api": comments.address if comments else "",
    }
    return GitHub(home, remote, home / "artifacts", context=context)


def gitlab(remote: Path, comments: ForgeDouble | None = None, **variables: str) -> GitLab:
    home = remote.parent
    (home / "artifacts").mkdir(exist_ok=True)
    known = {
        "CI_PROJECT_ID": "3",
        "CI_DEFAULT_BRANCH": "main",
        "CI_MERGE_REQUEST_IID": "5",
        "CI_API_V4_URL": comments.address if comments else "",
    }
    return GitLab(home, remote, home / "artifacts", variables=known | variables)


def change(remote: Path, branch: str, *replaced: tuple[str, str]) -> str:
    """Push a branch that edits falcon's spec; return main's commit."""
    folder = remote.parent / "author"
    shutil.rmtree(folder, ignore_errors=True)
    git(remote.parent, "clone", "-q", str(remote), "author")
    spec = folder / "stacks" / "falcon.yaml"
    for old, new in replaced:
        assert old in spec.read_text()
        spec.write_text(spec.read_text().replace(old, new))
    git(folder, "checkout", "-q", "-b", branch)
    git(folder, "commit", "-q", "-a", "-m", branch)
    git(folder, "push", "-q", "origin", branch)
    return git(folder, "rev-parse", "origin/main")


def test_a_good_change_gets_one_comment_and_its_findings(remote: Path, comments: ForgeDouble) -> None:
    change(remote, "grow", ("gpu[1-3]", "gpu[1-4]"))
    runner = github(remote, comments, TWIN_RUNNER="twin")
    review = runner.run("pull-request", "review", branch="grow")
    assert review.result == "success", review.output
    first = (runner.artifacts / "review" / "review.md").read_text()
    assert first.startswith("## `falcon`: ✅")
    assert "1 host added" in first
    assert "Unchanged: `eagle`." in first
    assert "not proven on the twin" in first
    assert (remote.parent / "summary.md").read_text() == first
    twin = runner.run("pull-request", "twin", branch="grow")
    assert (twin.result, twin.noted) == ("success", ["make test-touched"]), twin.output
    assert "✅ 1 tests passed" in (runner.artifacts / "review" / "review.md").read_text()
    for _ in range(2):
        comment = runner.run("pull-request", "comment", branch="grow")
        assert comment.result == "success", comment.output
    assert comments.kept == OTHERS | {8: comments.kept[8]}, "the second run replaces the comment of the first"
    assert "✅ 1 tests passed" in comments.kept[8]
    assert comments.tokens == {"Bearer of-the-run"}
    assert runner.run("pull-request", "sarif", branch="grow").result == "success"
    results = json.loads((runner.artifacts / "review" / "review.sarif").read_text())["runs"][0]["results"]
    assert {found["level"] for found in results} == {"warning"}


def test_a_change_that_breaks_a_policy_fails_and_says_so(remote: Path, comments: ForgeDouble) -> None:
    change(remote, "greedy", BROKEN)
    runner = github(remote, comments)
    review = runner.run("pull-request", "review", branch="greedy")
    assert review.result == "failure"
    assert runner.run("pull-request", "twin", branch="greedy", needs="failure").result == "skipped", (
        "no runner is named"
    )
    assert runner.run("pull-request", "comment", branch="greedy", needs="failure").result == "success"
    assert "## `falcon`: ❌ refused by policy" in comments.kept[8]
    assert "slurm-headroom" in comments.kept[8]
    (error,) = [
        found
        for found in json.loads((runner.artifacts / "review" / "review.sarif").read_text())["runs"][0]["results"]
        if found["level"] == "error"
    ]
    assert error["ruleId"] == "slurm-headroom"
    assert error["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "stacks/falcon.yaml"


def test_a_spec_that_cannot_be_built_is_told_where_the_change_is_discussed(remote: Path) -> None:
    change(remote, "typo", ("duty: login", "duty: logni"))
    runner = github(remote)
    assert runner.run("pull-request", "review", branch="typo").result == "failure"
    text = (runner.artifacts / "review" / "review.md").read_text()
    assert "## `falcon`: ❌ not a spec that can be built" in text
    assert "stacks/falcon.yaml:7:" in text
    assert str(remote.parent) not in text


def test_a_fork_gets_its_review_and_nothing_else(remote: Path, comments: ForgeDouble) -> None:
    change(remote, "theirs", ("gpu[1-3]", "gpu[1-4]"))
    runner = github(remote, comments, fork=True, TWIN_RUNNER="twin")
    review = runner.run("pull-request", "review", branch="theirs")
    assert review.result == "success"
    assert "## `falcon`: ✅" in (remote.parent / "summary.md").read_text()
    assert not {"read-only", PASSPHRASE, KEY} & set(review.seen.values())
    for job in ("twin", "comment", "sarif"):
        assert runner.run("pull-request", job, branch="theirs").result == "skipped", job
    assert comments.kept == OTHERS


def test_what_is_not_run_here_is_what_the_suite_has_elsewhere(remote: Path) -> None:
    change(remote, "any", ("gpu[1-3]", "gpu[1-4]"))
    noted = github(remote).run("pull-request", "check", branch="any").noted
    assert {*noted, "make test-touched"} == ELSEWHERE.keys()
    assert gitlab(remote, CI_PIPELINE_SOURCE="merge_request_event").run("check", branch="any").noted == noted


def test_gitlab_reviews_proves_and_comments(remote: Path, comments: ForgeDouble) -> None:
    base = change(remote, "grow", ("gpu[1-3]", "gpu[1-4]"))
    asked = {
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "3",
        "REVIEW_TOKEN": "of-the-project",
        "TWIN_RUNNER": "twin",
    }
    runner = gitlab(remote, comments, **asked)
    for job in ("review", "twin", "comment", "comment"):
        ran = runner.run(job, branch="grow")
        assert ran.result == "success", ran.output
    assert comments.kept == OTHERS | {8: comments.kept[8]}, "the second run replaces the comment of the first"
    assert "## `falcon`: ✅" in comments.kept[8]
    assert "✅ 1 tests passed" in comments.kept[8]
    assert comments.tokens == {"of-the-project"}
    fork = gitlab(remote, comments, **asked | {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "9"})
    assert {job: fork.run(job, branch="grow").result for job in ("twin", "comment")} == {
        "twin": "skipped",
        "comment": "skipped",
    }


@pytest.fixture
def pulumi_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Pulumi that applies nothing: `up` fails, and a stack's state is what the file that is returned says."""
    folder, state = tmp_path / "bin", tmp_path / "state.json"
    folder.mkdir()
    for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
        (folder / name).write_text(PULUMI_DOUBLE.format(state=state))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    state.write_text('{"deployment": {}}')
    return state


@pytest.fixture
def signing(origin: Path) -> dict[str, str]:
    """The secrets of an environment."""
    return {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PROMOTION_KEY": (origin / "key").read_text()}


def log_in(remote: Path) -> list[dict[str, Any]]:
    """The evidence in the repository's main branch."""
    return [json.loads(line) for line in git(remote, "show", "main:evidence/log.jsonl").splitlines()]


@pytest.mark.usefixtures("pulumi_double")
def test_a_merge_goes_through_the_gates_and_its_failure_is_in_the_evidence(
    remote: Path, signing: dict[str, str]
) -> None:
    """The double's `up` fails; what a good one does is in tests/twin/test_promotion.py, on two twins."""
    runner = github(remote, PROMOTE_TO="falcon")
    runner.context["secrets"] = signing
    runner.commit = git(remote, "rev-parse", "main")
    ran = runner.run("merge", "promote", branch="main")
    assert ran.result == "failure"
    assert "every gate is open" in ran.output
    begun, entry = log_in(remote)
    assert (begun["action"], begun["release"]) == ("begin", entry["release"])
    assert (entry["stack"], entry["who"], entry["passed"]) == ("falcon", "ci@example.net", False)
    assert git(remote, "log", "-1", "--format=%an: %s", "main") == "platform-iac: Evidence: line 2 of the log [skip ci]"
    assert (runner.artifacts / "evidence" / "log.jsonl").read_text().count("\n") == 2
    shutil.rmtree(runner.artifacts / "evidence")
    assert not (remote.parent / "promotion-key").exists(), "the key is gone after the job"
    assert PASSPHRASE not in ran.output
    runner.context["inputs"] = {"to": "eagle"}  # a run of the same commit: it waited, and does not have the two lines
    refused = runner.run("merge", "promote", branch="main")
    assert refused.result == "failure"
    assert "nothing was touched" in refused.output
    assert "failed in `falcon` (line 2 of the log)" in refused.output
    assert "nothing new in evidence/log.jsonl" in refused.output
    runner.context["github"]["ref"] = "refs/heads/work"
    assert runner.run("merge", "promote", branch="main").result == "skipped", "only what is merged is promoted"


@pytest.mark.usefixtures("pulumi_double")
def test_gitlab_promotes_with_the_same_words(remote: Path, origin: Path) -> None:
    asked = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main", "PROMOTE_TO": "falcon"}
    without = gitlab(remote, **asked).run("promote", branch="main")
    assert without.result == "failure"
    assert "PULUMI_CONFIG_PASSPHRASE: is not set" in without.output
    key = shutil.copy(origin / "key", remote.parent / "key")
    secrets = {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PROMOTION_KEY": str(key)}
    ran = gitlab(remote, **asked, **secrets).run("promote", branch="main")
    assert ran.result == "failure"
    assert "every gate is open" in ran.output
    assert [(entry["action"], entry["passed"]) for entry in log_in(remote)] == [("begin", False), ("promote", False)]
    other = gitlab(remote, **asked | {"CI_COMMIT_BRANCH": "work"}, **secrets)
    assert other.run("promote", branch="main").result == "skipped"


@pytest.fixture
def people(remote: Path) -> tuple[Path, Path]:
    """Two clones of the same commit; the key of `origin` may sign in both."""
    found = remote.parent / "mine", remote.parent / "theirs"
    for folder in found:
        git(remote.parent, "clone", "-q", str(remote), folder.name)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / ".git" / "info" / "exclude").write_text("/.venv\n")
        for key, value in (("user.name", "alice"), ("user.email", "alice@example.net")):
            git(folder, "config", key, value)
    return found


def approve(folder: Path, key: Path, to: str = "falcon") -> None:
    said(folder, sys.executable, "-m", "platform_iac.cli", "approve", "--to", to, "--key", str(key))


def said(folder: Path, *argv: str, expect: int = 0) -> str:
    """What a command in a clone says."""
    env = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_evidence_goes_on_top_of_what_others_pushed(remote: Path, origin: Path, people: tuple[Path, Path]) -> None:
    mine, theirs = people
    (theirs / "note").write_text("by somebody else\n")
    git(theirs, "add", "note")
    git(theirs, "commit", "-q", "-m", "meanwhile")
    git(theirs, "push", "-q")
    approve(mine, origin / "key")
    assert "is in main" in said(mine, "tools/evidence")
    assert len(log_in(remote)) == 1
    assert git(remote, "show", "main:note") == "by somebody else"
    assert git(mine, "rev-parse", "HEAD") == git(remote, "rev-parse", "main")
    assert git(mine, "status", "--porcelain") == ""
    assert "nothing new" in said(mine, "tools/evidence")


def test_a_log_that_grew_elsewhere_loses_no_line(remote: Path, origin: Path, people: tuple[Path, Path]) -> None:
    mine, theirs = people
    approve(mine, origin / "key")
    approve(theirs, origin / "key", to="eagle")  # within one second the same words would be the same line
    said(theirs, "tools/evidence")
    assert "tools/evidence main KEY" in said(mine, "tools/evidence", expect=1)
    assert "1 lines of evidence/log.jsonl follow" in said(mine, "tools/evidence", "main", str(origin / "key"))
    assert [entry["sequence"] for entry in log_in(remote)] == [1, 2]
    assert "2 lines, every signature" in said(mine, sys.executable, "-m", "platform_iac.cli", "evidence")


def test_an_older_checkout_does_not_forget_what_is_merged(
    remote: Path, origin: Path, people: tuple[Path, Path]
) -> None:
    mine, theirs = people
    approve(theirs, origin / "key")
    said(theirs, "tools/evidence")
    git(mine, "fetch", "-q")
    told = said(mine, sys.executable, "-m", "platform_iac.cli", "evidence", expect=2)
    assert "the log does not begin with that of origin/" in told
    approve(theirs, origin / "key", to="eagle")
    said(theirs, "tools/evidence")
    assert "2 lines, as in origin/main" in said(mine, "tools/evidence", "--take"), "what came since is fetched"
    assert "2 lines, every signature" in said(mine, sys.executable, "-m", "platform_iac.cli", "evidence")
    assert len(log_in(remote)) == 2
    git(mine, "remote", "remove", "origin")
    git(mine, "update-ref", "refs/remotes/origin/main", git(theirs, "rev-parse", "HEAD"))
    assert "2 lines, as in origin/main" in said(mine, "tools/evidence", "--take"), "without a remote as it is here"


def test_nobody_lets_themselves_sign(origin: Path, people: tuple[Path, Path]) -> None:
    mine, _ = people
    own = mine.parent / "own"
    said(mine, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "own", "-f", str(own))
    signers = mine / "evidence" / "allowed_signers"
    signers.write_text(
        signers.read_text()
        + f'me2@example.net namespaces="{signature.NAMESPACE}" '
        + own.with_suffix(".pub").read_text()
    )
    git(mine, "commit", "-q", "-a", "-m", "let me in")
    argv = (sys.executable, "-m", "platform_iac.cli", "approve", "--to", "falcon", "--key")
    assert "names nobody with the key" in said(mine, *argv, str(own), expect=2)
    said(mine, *argv, str(origin / "key"))


def test_a_nightly_run_fails_where_a_host_differs_and_says_where(
    remote: Path, signing: dict[str, str], pulumi_double: Path
) -> None:
    runner = github(remote, DRIFT_STACKS='["falcon"]')
    runner.context |= {"matrix": {"stack": "falcon"}, "secrets": signing}
    clean = runner.run("nightly", "drift", branch="main")
    assert clean.result == "success", clean.output
    shutil.rmtree(runner.artifacts)
    changed = {"gpu1": {"file /etc/slurm/slurm.conf": "content differs"}}
    resource = {"urn": "urn:pulumi:falcon::platform-iac::platform:ansible:Role::slurm_node", "type": "x:y:Role"}
    pulumi_double.write_text(json.dumps({"deployment": {"resources": [{**resource, "outputs": {"drift": changed}}]}}))
    drifted = runner.run("nightly", "drift", branch="main")
    assert drifted.result == "failure"
    assert "gpu1" in (remote.parent / "summary.md").read_text()
    found = json.loads((runner.artifacts / "drift-falcon" / "drift.sarif").read_text())["runs"][0]["results"]
    assert ["gpu1" in result["message"]["text"] for result in found] == [True]
    asked = {"CI_PIPELINE_SOURCE": "schedule", "DRIFT_STACK": "falcon", "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
    nightly = gitlab(remote, **asked).run("drift", branch="main")
    assert nightly.result == "failure"
    assert "gpu1" in nightly.output
