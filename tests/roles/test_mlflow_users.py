"""The module `mlflow_users` against a server that keeps accounts as MLflow does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load("mlflow/library/mlflow_users.py")


class Accounts(BaseHTTPRequestHandler):
    """MLflow's interface for accounts (routes and answers of MLflow 3.17's `mlflow/server/auth`)."""

    known: dict[str, str]

    def _user(self) -> str:
        header = self.headers.get("Authorization", "Basic ").removeprefix("Basic ")
        name, _, password = base64.b64decode(header).decode().partition(":")
        return name if self.known.get(name) == password else ""

    def _answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        what = self.path.rpartition("/")[2]
        if what == "health":
            self._answer(200, "OK")
        elif not (user := self._user()):
            self._answer(401, "You are not authenticated.")
        elif what == "current":
            self._answer(200, {"user": {"username": user}})
        else:
            users = [{"username": name, "is_admin": name == "admin"} for name in self.known]
            self._answer(200, {"users": users})

    def _change(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verb = (self.command, self.path.rpartition("/")[2])
        if self._user() != "admin":
            self._answer(403, "Permission denied")
        elif verb == ("DELETE", "delete"):
            del self.known[body["username"]]
            self._answer(200, {})
        elif verb in (("POST", "create"), ("PATCH", "update-password")):
            self.known[body["username"]] = body["password"]
            self._answer(200, {})
        else:
            self._answer(405, "no")

    def do_POST(self) -> None:
        self._change()

    def do_PATCH(self) -> None:
        self._change()

    def do_DELETE(self) -> None:
        self._change()

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a server, and its accounts: name to password."""
    handler = type("Handler", (Accounts,), {"known": {"admin": "root-pw"}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", handler.known
        running.shutdown()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The two files of the host: alice and bob are members."""
    users, admin = tmp_path / "users.json", tmp_path / "secrets.env"
    users.write_text(json.dumps({"alice": "a-pw", "bob": "b-pw"}))
    admin.write_text("MLFLOW_FLASK_SERVER_SECRET_KEY=key\nMLFLOW_AUTH_ADMIN_PASSWORD=root-pw\n")
    return {"users_file": str(users), "admin_file": str(admin)}


def apply(module: ModuleType, address: str, files: dict[str, str]) -> list[str]:
    admin, todo = module.plan({"address": address, "wait_seconds": 1, **files}, check=False)
    for _, what, body in todo:
        admin.call(module.VERBS[what], what, body)
    return [sentence for sentence, *_ in todo]


def test_accounts_become_those_of_the_file_and_stay(module: ModuleType, server: Any, files: dict[str, str]) -> None:
    address, known = server
    known |= {"mallory": "x", "bob": "changed by hand"}
    assert apply(module, address, files) == ["remove mallory", "add alice", "set the password of bob"]
    assert known == {"admin": "root-pw", "alice": "a-pw", "bob": "b-pw"}
    assert apply(module, address, files) == []


def test_a_dry_run_where_nothing_is_yet_says_that_accounts_would_come(module: ModuleType, tmp_path: Path) -> None:
    nothing = {"users_file": str(tmp_path / "a"), "admin_file": str(tmp_path / "b")}
    admin, todo = module.plan({"address": "http://127.0.0.1:9", "wait_seconds": 1, **nothing}, check=True)
    assert admin is None
    assert [sentence for sentence, *_ in todo] == ["add the members' accounts"]


def test_a_server_that_does_not_answer_is_told(module: ModuleType, files: dict[str, str]) -> None:
    with pytest.raises(module.UsersError, match="did not answer within 0 s"):
        module.plan({"address": "http://127.0.0.1:9", "wait_seconds": 0, **files}, check=False)


def test_an_administrators_password_changed_by_hand_is_told_with_what_to_do(
    module: ModuleType, server: Any, files: dict[str, str]
) -> None:
    address, known = server
    known["admin"] = "other"
    with pytest.raises(module.UsersError, match="does not know the password of its admin any more"):
        apply(module, address, files)


def test_no_error_holds_a_password(module: ModuleType, server: Any) -> None:
    address, _ = server
    with pytest.raises(module.UsersError) as caught:
        module.Server(address, "alice", "hunter2").call("POST", "create", {"username": "x", "password": "hunter3"})
    assert "hunter" not in str(caught.value)
