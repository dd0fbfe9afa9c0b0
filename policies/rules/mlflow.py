"""MLflow: no one without a login, no name but its own, no release with a public password, artifacts behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import dataclass
from fnmatch import fnmatchcase
from string import Template
from typing import TYPE_CHECKING

from platform_iac.plan.floors import floors
from policies.parse import lines, versions
from policies.parse.units import units
from policies.rule import Rule
from policies.rules.hosts import SECRET
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from policies.parse.units import Unit
    from policies.rule import Context
    from policies.target import Target

AUTH = "/etc/mlflow/auth.ini"
LOGINS = ("basic-auth",)
"""MLflow's own application with logins; another one would have to be looked at first."""

COMMANDS = ("execstartpre", "execstart", "execstartpost")
STARTS = re.compile(r"(?<![\w.-])mlflow(\.cli)?(\s.*)?\s(server|ui)\b|\bmlflow\.server\b")
PUBLIC_ACLS = re.compile(r"public-read|authenticated-read|allusers", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Server:
    """One start of `mlflow server`: its hosts and unit, its options, its environment, and its hosts' files."""

    where: str
    options: Mapping[str, list[str]]
    environment: Mapping[str, str]
    files: Mapping[str, str]


def _servers(target: Target) -> Iterator[Server]:
    """Yield every start of a server, each with the environment that its unit and drop-ins give it."""
    for hosts, files in target.groups:
        texts = {path: file.content for path, file in files.items()}
        for unit in units(texts, "service"):
            commands = [each for name in COMMANDS for each in unit.all("service", name) if "mlflow" in each.lower()]
            for command in commands:
                environment = _environment(unit, texts)
                started = Template(command).safe_substitute(environment)
                if STARTS.search(started):
                    yield Server(f"{hosts}: {unit.name}", lines.options(started), environment, texts)


def _environment(unit: Unit, files: Mapping[str, str]) -> dict[str, str]:
    """Return a unit's variables: what is in its files goes over what is in the unit (systemd.exec(5))."""
    found: dict[str, str] = {}
    for given in unit.all("service", "environment"):
        found |= dict(word.split("=", 1) for word in lines.words(given) if "=" in word)
    for given in unit.all("service", "environmentfile"):
        pattern = given.strip('"').removeprefix("-")
        held = [path for path in sorted(files) if fnmatchcase(path, pattern)]
        if not held:
            raise UnjudgedError(f"{unit.name} reads {pattern}, which this role does not hold")
        for path in held:
            found |= lines.environment(files[path])
    return found


def _none(target: Target) -> Iterator[str]:
    if not any(True for _ in _servers(target)):
        yield "no unit starts `mlflow server`"


def _auth(target: Target, context: Context) -> Iterator[str]:
    del context
    yield from _none(target)
    for server in _servers(target):
        app = (server.options.get("app-name") or [""])[-1]
        if app not in LOGINS:
            yield f"{server.where}: --app-name {app or 'is not given'}"
        named = server.environment.get("MLFLOW_AUTH_CONFIG_PATH", "")
        if named and named not in server.files:
            raise UnjudgedError(f"{server.where} reads {named}, which this role does not hold")
        for path in dict.fromkeys(each for each in (AUTH, named) if each in server.files):
            permission = _permission(path, server.files[path])
            if permission.upper() not in ("READ", "NO_PERMISSIONS"):
                yield f"{server.where}: {path}: default_permission = {permission or 'nothing'}"


def _permission(path: str, text: str) -> str:
    """Return what everyone may who is not told otherwise, as MLflow reads it."""
    config = ConfigParser()
    try:
        config.read_string(text)
        return config.get("mlflow", "default_permission", fallback="").strip()
    except IniError as error:
        raise UnjudgedError(f"{path}: {error}") from None


def _allowed(target: Target, context: Context) -> Iterator[str]:
    del context
    yield from _none(target)
    for server in _servers(target):
        where, options, environment = server.where, server.options, server.environment
        for option, variable in (
            ("allowed-hosts", "MLFLOW_SERVER_ALLOWED_HOSTS"),
            ("cors-allowed-origins", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"),
        ):
            given = ",".join(options.get(option, [])) or environment.get(variable, "")
            names = [name.strip() for name in given.split(",") if name.strip()]
            if not names and option == "allowed-hosts":
                yield f"{where}: --{option} is not given"
            if any(re.sub(r"^https?://", "", name).split(":")[0].strip(".") in ("*", "", "0.0.0.0") for name in names):  # noqa: S104
                yield f"{where}: --{option} {given} lets everyone in"
        if environment.get("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "false").lower() not in ("false", "0", ""):
            yield f"{where}: MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE is set"
        if "disable-security-middleware" in options:
            yield f"{where}: --disable-security-middleware is given"


def _floor(target: Target, context: Context) -> Iterator[str]:
    del context
    floor = floors("python")["mlflow"]
    texts = target.var("requirements").texts()
    for _, file in target.files("/etc/mlflow/requirements.txt"):
        texts += [line for line in file.content.splitlines() if line.strip() and not line.strip().startswith("#")]
    found = False
    for text in texts:
        name, version = re.match(r"\s*([A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*(.*?)\s*(?:;.*)?$", text).groups()  # type: ignore[union-attr]
        if re.sub(r"[-_.]+", "-", name.lower()) not in floor.packages:
            continue
        found = True
        exact = versions.release(version.removeprefix("==")) if version.startswith("==") else None
        if exact is None:
            yield f"{text.strip()} names no one release"
        elif exact < tuple(int(part) for part in floor.floor.split(".")):
            yield f"{text.strip()} is below {floor.floor}"
    if not found:
        yield "no requirement names MLflow's release"


def _artifacts(target: Target, context: Context) -> Iterator[str]:
    del context
    yield from _none(target)
    for server in _servers(target):
        where, options, environment = server.where, server.options, server.environment
        if "no-serve-artifacts" in options:
            yield f"{where}: --no-serve-artifacts makes every client need the store's own keys"
        if "default-artifact-root" in options and not options["default-artifact-root"][-1].startswith(
            "mlflow-artifacts:"
        ):
            yield f"{where}: --default-artifact-root {options['default-artifact-root'][-1]} goes around the server"
        for store in options.get("artifacts-destination", [""]):
            if not store:
                yield f"{where}: --artifacts-destination is not given"
            elif re.match(r"(?i)(https?|ftp)://", store) or store.startswith(("/tmp", "/var/tmp", "/srv/mirror")):  # noqa: S108
                yield f"{where}: --artifacts-destination {store} is open to others"
        if PUBLIC_ACLS.search(environment.get("MLFLOW_S3_UPLOAD_EXTRA_ARGS", "")):
            yield f"{where}: MLFLOW_S3_UPLOAD_EXTRA_ARGS makes artifacts public"


def _admin(target: Target, context: Context) -> Iterator[str]:
    """The administrator's password and the sessions' key are secrets, and set before the first start."""
    del context
    for hosts, files in target.groups:
        given = {
            setting.name.upper(): setting.value
            for path, file in sorted(files.items())
            if path.startswith("/etc/mlflow/") and path.endswith(".env")
            for setting in lines.sections(file.content)
        }
        for name in ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"):
            if SECRET.fullmatch(given.get(name, "")) is None:
                yield f"{hosts}: {name} is {'no secret' if given.get(name) else 'not set'}"


def _database(target: Target, context: Context) -> Iterator[str]:
    del context
    for server in _servers(target):
        store = (server.options.get("backend-store-uri") or [""])[-1]
        if not re.match(r"(?i)(postgresql|mysql)(\+\w+)?://", store):
            yield f"{server.where}: --backend-store-uri {store.split('@')[-1] or 'is not given'}"


SERVER = ("mlflow",)
RULES = (
    Rule(
        id="mlflow-auth",
        why="Without a login everyone who reaches the port reads, changes and deletes every model.",
        do="Start it with --app-name basic-auth and a default_permission of READ or NO_PERMISSIONS.",
        reference="mlflow.org/docs/latest/self-hosting/security/basic-http-auth",
        roles=SERVER,
        each=_auth,
    ),
    Rule(
        id="mlflow-allowed-hosts",
        why="A page on the web could speak to the server through a member's browser (DNS rebinding).",
        do="Name the server's own names in --allowed-hosts and --cors-allowed-origins, never `*`.",
        reference="mlflow.org/docs/latest/self-hosting/security/network",
        roles=SERVER,
        each=_allowed,
    ),
    Rule(
        id="mlflow-floor",
        why="Releases below the floor create an administrator whose password everyone knows.",
        do="Set `version` of the service to 3.16.1 or newer.",
        reference="platform_iac/plan/floors.json",
        roles=("mlflow", "mlflow_client"),
        each=_floor,
    ),
    Rule(
        id="mlflow-artifacts",
        why="Artifacts are models and data: whoever reads the store goes around the login.",
        do="Serve artifacts through the server, from a folder or bucket that only it reads.",
        reference="mlflow.org/docs/latest/self-hosting/architecture/artifact-store",
        roles=SERVER,
        each=_artifacts,
    ),
    Rule(
        id="mlflow-secrets",
        why="A password in the file is in git; without the sessions' key each worker refuses the others' logins.",
        do="Set both in an environment file by the placeholder of a secret.",
        reference="decision 0003",
        roles=SERVER,
        each=_admin,
    ),
    Rule(
        id="mlflow-database",
        severity="advisory",
        why="SQLite and files lose writes when several workers write at once.",
        do="Give --backend-store-uri a PostgreSQL database.",
        reference="mlflow.org/docs/latest/self-hosting/architecture/backend-store",
        roles=SERVER,
        each=_database,
    ),
)
