"""The module `postgresql_databases` decides from the roles and databases that are there."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.host_modules import load


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load("postgresql/library/postgresql_databases.py")


def sentences(module: ModuleType, roles: set[str], owners: dict[str, str]) -> list[str]:
    return [sentence for sentence, _ in module.steps({"a": "mlflow", "b": "mlflow"}, roles, owners)]


def test_an_owner_comes_before_its_databases(module: ModuleType) -> None:
    assert sentences(module, {"postgres"}, {"postgres": "postgres"}) == [
        "add role mlflow",
        "add database a",
        "add database b",
    ]


def test_what_is_there_is_left_alone_and_what_is_not_named_too(module: ModuleType) -> None:
    assert sentences(module, {"mlflow", "other"}, {"a": "mlflow", "b": "mlflow", "c": "other"}) == []


def test_a_database_of_another_owner_changes_hands(module: ModuleType) -> None:
    assert sentences(module, {"mlflow"}, {"a": "postgres", "b": "mlflow"}) == ["a now belongs to mlflow"]


@pytest.mark.parametrize("name", ['a"; DROP DATABASE b; --', "a b", "A"])
def test_names_are_identifiers_whatever_is_in_them(module: ModuleType, name: str) -> None:
    ((_, role), (_, database)) = module.steps({name: name}, set(), {})
    assert role == f"CREATE ROLE {module.quoted(name)} LOGIN"
    assert database.startswith(f"CREATE DATABASE {module.quoted(name)} OWNER {module.quoted(name)} TEMPLATE template0")
    assert module.quoted('a"b') == '"a""b"'
