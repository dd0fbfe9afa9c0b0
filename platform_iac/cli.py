"""`platform-iac`: the command line. Each verb is a function in `platform_iac.commands`, imported when asked for."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from pathlib import Path
from typing import Any

from platform_iac.commands.errors import BAD_INPUT, CommandError, bad_input

VERBS: dict[str, tuple[str, str]] = {
    "validate": ("validate", "check a spec and say everything that is wrong with it"),
    "plan": ("plan", "show what a spec makes: hosts, role runs, files"),
    "policy": ("policy", "judge a stack's plan by the policies, as a pull request does"),
    "explain": ("explain", "show everything about one host"),
    "fabric": ("fabric", "show the switches and cables that a spec's fabric takes"),
    "schema": ("schema", "print the JSON Schema of specs"),
    "review": ("review", "show what a change does, for a pull request: hosts, files, impact, policies"),
    "cabling": ("cabling", "write what people lay a fabric's cables by: lists, labels, a page, exports"),
    "doctor": ("doctor", "tell whether this machine can run the twin"),
    "artifacts": ("artifacts", "build the packages that a stack's hosts install, as a mirror's content"),
    "up": ("up", "bring a stack up, check it and run its training job"),
    "down": ("down", "remove everything of a stack"),
    "check": ("check", "prove the running platform, check by check"),
    "drift": ("drift", "ask every host what differs from what was applied"),
    "state": ("state", "list the copies of a stack's state that were kept, or go back to one"),
    "promote": ("promote", "bring a release into an environment, with evidence"),
    "approve": ("promote", "record that a release may go into an environment"),
    "evidence": ("evidence", "show who brought which release where, every line verified"),
    "train": ("train", "run the training job on the running platform"),
    "ssh": ("ssh", "log in to a host, or run a command on it"),
    "ansible": ("ansible", "write inventory, variables and playbook for plain ansible-playbook"),
}

CHECKED: tuple[str, ...] = ("fabric", "storage")
"""What `check SUBJECT` looks at on its own: each is a function `check_<subject>` in a module of that name."""

Option = tuple[str, dict[str, Any]]

_STACK: Option = ("stack", {"metavar": "STACK", "help": "a stack's name, or a path to a spec"})
_LAB: Option = ("stack", {"nargs": "?", "default": "lab", "metavar": "STACK", "help": "the stack (default: lab)"})
_TO: tuple[Option, ...] = (
    ("--to", {"required": True, "metavar": "STACK", "help": "the stack of the environment"}),
    ("--key", {"type": Path, "required": True, "metavar": "FILE", "help": "the SSH key that signs the evidence"}),
)


def _json(what: str) -> Option:
    return ("--json", {"action": "store_true", "help": what})


OPTIONS: dict[str, tuple[Option, ...]] = {
    "plan": (_STACK, _json("the whole plan, with the text of every file")),
    "policy": (
        _STACK,
        _json("the report as JSON"),
        ("--base", {"metavar": "REF", "help": "a git revision: judge also what changes since then"}),
        ("--state", {"type": Path, "metavar": "FILE", "help": "`pulumi stack export`, for the age of secrets"}),
    ),
    "explain": (
        _STACK,
        ("host", {"metavar": "HOST", "help": "a host of the stack"}),
        ("--files", {"action": "store_true", "help": "with the text of every file"}),
    ),
    "fabric": (
        _STACK,
        _json("the numbers, for programs"),
        ("--labels", {"action": "store_true", "help": "the hosts' places as labels for Kubernetes, as JSON"}),
    ),
    "schema": (),
    "review": (
        ("stack", {"nargs": "?", "metavar": "STACK", "help": "a stack; left out, every one that the change touches"}),
        ("--base", {"required": True, "metavar": "REF", "help": "the commit that the change is for: origin/main"}),
        ("--out", {"type": Path, "metavar": "DIR", "help": "write review.md and review.sarif there"}),
        ("--junit", {"type": Path, "metavar": "FILE", "help": "the twin's proof: a JUnit report of its tests"}),
    ),
    "cabling": (
        _STACK,
        ("--out", {"type": Path, "required": True, "metavar": "DIR", "help": "where; it may hold an earlier one"}),
    ),
    "doctor": (),
    "artifacts": (
        _STACK,
        ("--list", {"action": "store_true", "help": "only list what the stack installs"}),
        ("--refresh", {"action": "store_true", "help": "ask the repositories anew, as for security updates"}),
    ),
    "up": (_LAB,),
    "down": (_LAB,),
    "check": (
        ("subject", {"nargs": "?", "choices": CHECKED, "help": "only this, measured; left out, every check"}),
        ("stack", {"metavar": "STACK", "help": "a stack's name, or a path to a spec (with a subject: lab)"}),
        ("--discovery", {"metavar": "FILE", "help": "fabric: what ibnetdiscover printed (`-`: standard input)"}),
        ("--simulated", {"action": "store_true", "help": "fabric: FILE is of ibsim, which knows no rate over HDR"}),
        _json("fabric: the findings as JSON"),
    ),
    "drift": (
        ("stacks", {"nargs": "+", "metavar": "STACK", "help": "stacks' names; of several, each is asked"}),
        _json("as JSON: by stack, host and thing"),
        ("--markdown", {"action": "store_true", "help": "as a Markdown report, for an issue or a job's summary"}),
        ("--sarif", {"type": Path, "metavar": "FILE", "help": "also write SARIF there"}),
    ),
    "state": (
        ("action", {"choices": ("list", "restore"), "help": "show the copies, or make one the stack's state"}),
        ("stack", {"metavar": "STACK", "help": "a stack's name"}),
        ("--backup", {"metavar": "NUMBER", "help": "which copy (default: the newest)"}),
    ),
    "promote": (*_TO, ("--rollback", {"action": "store_true", "help": "return to the former good release"})),
    "approve": _TO,
    "evidence": (
        ("--onto", {"metavar": "REF", "help": "first let the lines that only this checkout has follow the log of REF"}),
        ("--key", {"type": Path, "metavar": "FILE", "help": "with --onto: the SSH key that signs them again"}),
    ),
    "ssh": (
        ("host", {"metavar": "HOST", "help": "a host of the stack"}),
        ("--stack", {"default": "lab", "help": "the stack's name or a path to its spec (default: lab)"}),
        ("command", {"nargs": argparse.REMAINDER, "metavar": "COMMAND", "help": "what to run there"}),
    ),
    "ansible": (
        _STACK,
        ("directory", {"type": Path, "metavar": "DIR", "help": "where to write; it may hold an earlier export"}),
    ),
}
"""What each verb takes; one that is not here takes a stack."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    top = argparse.ArgumentParser(prog="platform-iac", description="One typed spec to a running AI platform.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (_, help_text) in VERBS.items():
        part = verbs.add_parser(verb, help=help_text, description=help_text.capitalize() + ".")
        for name, how in OPTIONS.get(verb, (_STACK,)):
            part.add_argument(name, **how)
    return top


def run(arguments: list[str]) -> int:
    """Do what the arguments say and return the exit status: 0 well, 1 a check failed, 2 bad input."""
    chosen = parser().parse_args(arguments)
    values: dict[str, Any] = vars(chosen)
    verb = values.pop("verb")
    module, _ = VERBS[verb]
    if verb == "check":
        module = verb = _subject(values)
    if values.get("json"):
        sys.stdout.reconfigure(newline="\n")  # type: ignore[union-attr]
    return int(getattr(importlib.import_module(f"platform_iac.commands.{module}"), verb)(**values))


def _subject(values: dict[str, Any]) -> str:
    """Return the function of `check SUBJECT [STACK]`; argparse takes a single word for the stack."""
    subject = values.pop("subject")
    if subject is None and values["stack"] in CHECKED:
        subject, values["stack"] = values["stack"], "lab"
    if subject != "fabric":
        for option in ("discovery", "simulated", "json"):
            if values.pop(option):
                raise CommandError(f"--{option} is for `check fabric` — leave it out")
    return f"check_{subject}" if subject else "check"


def main() -> int:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, we tidy up as after ^C
    try:
        return run(sys.argv[1:])
    except bad_input() as error:
        print(error, file=sys.stderr)
        return error.status if isinstance(error, CommandError) else BAD_INPUT
    except BrokenPipeError:
        sys.stderr.close()  # the reader has seen enough, as in `platform-iac plan lab | head`
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
