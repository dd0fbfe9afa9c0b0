"""MLflow: no one without a login, no name but its own, no release with a public password, artifacts behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from platform_iac.plan.floors import floors
from policies.parse import lines, versions
from policies.rule import Rule
from policies.rules.hosts import SECRET

if TYPE_CHECKING:
    from policies.rule import Context
    from policies.target import Target

UNITS = "/etc/systemd/system/"
LOGINS = ("basic-auth",)
"""MLflow's own application with logins; another one would have to be looked at first."""

STARTS = re.compile(r"(^|/)mlflow(\s+(server|ui)\b|$)|-m\s+mlflow")
PUBLIC_ACLS = re.compile(r"public-read|authenticated-read|allusers", re.IGNORECASE)


def _servers(target: Target) -> Iterator[tuple[str, dict[str, list[str]], dict[str, str]]]:
    """Yield (hosts, options, environment) of every unit that starts `mlflow server`; the last of each name counts."""
    for hosts, files in target.groups:
        started: dict[str, list[str]] | None = None
        environment: dict[str, str] = {}
        for path, file in sorted(files.items()):
            if not path.startswith(UNITS):
                continue
            for setting in lines.sections(file.content):
                if setting.section != "service":
                    continue
                if setting.name == "execstart" and re.search(
                    r"(^|/)mlflow(\s+(server|ui)\b|$)|-m\s+mlflow", setting.value
                ):
                    started = lines.options(setting.value)
                elif setting.name == "environment":
                    environment |= dict(word.split("=", 1) for word in lines.words(setting.value) if "=" in word)
        if started is not None:
            yield hosts, started, environment


def _none(target: Target) -> Iterator[str]:
    if not any(True for _ in _servers(target)):
        yield "no unit starts `mlflow server`"


def _auth(target: Target, context: Context) -> Iterator[str]:
    del context
    yield from _none(target)
    for hosts, options, _ in _servers(target):
        app = (options.get("app-name") or [""])[-1]
        if app not in LOGINS:
            yield f"{hosts}: --app-name {app or 'is not given'}"
    for hosts, file in target.files("/etc/mlflow/auth.ini"):
        for setting in lines.sections(file.content):
            if setting.name == "default_permission" and setting.value.upper() not in ("READ", "NO_PERMISSIONS"):
                yield f"{hosts}: {file.path}: default_permission = {setting.value}"


def _allowed(target: Target, context: Context) -> Iterator[str]:
    del context
    yield from _none(target)
    for hosts, options, environment in _servers(target):
        for option, variable in (
            ("allowed-hosts", "MLFLOW_SERVER_ALLOWED_HOSTS"),
            ("cors-allowed-origins", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"),
        ):
            given = ",".join(options.get(option, [])) or environment.get(variable, "")
            names = [name.strip() for name in given.split(",") if name.strip()]
            if not names and option == "allowed-hosts":
                yield f"{hosts}: --{option} is not given"
            if any(re.sub(r"^https?://", "", name).split(":")[0].strip(".") in ("*", "", "0.0.0.0") for name in names):  # noqa: S104
                yield f"{hosts}: --{option} {given} lets everyone in"
        if environment.get("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "false").lower() not in ("false", "0", ""):
            yield f"{hosts}: MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE is set"
        if "disable-security-middleware" in options:
            yield f"{hosts}: --disable-security-middleware is given"


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
    for hosts, options, environment in _servers(target):
        if "no-serve-artifacts" in options:
            yield f"{hosts}: --no-serve-artifacts makes every client need the store's own keys"
        if "default-artifact-root" in options and not options["default-artifact-root"][-1].startswith(
            "mlflow-artifacts:"
        ):
            yield f"{hosts}: --default-artifact-root {options['default-artifact-root'][-1]} goes around the server"
        for store in options.get("artifacts-destination", [""]):
            if not store:
                yield f"{hosts}: --artifacts-destination is not given"
            elif re.match(r"(?i)(https?|ftp)://", store) or store.startswith(("/tmp", "/var/tmp", "/srv/mirror")):  # noqa: S108
                yield f"{hosts}: --artifacts-destination {store} is open to others"
        if PUBLIC_ACLS.search(environment.get("MLFLOW_S3_UPLOAD_EXTRA_ARGS", "")):
            yield f"{hosts}: MLFLOW_S3_UPLOAD_EXTRA_ARGS makes artifacts public"


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
    for hosts, options, _ in _servers(target):
        store = (options.get("backend-store-uri") or [""])[-1]
        if not re.match(r"(?i)(postgresql|mysql)(\+\w+)?://", store):
            yield f"{hosts}: --backend-store-uri {store.split('@')[-1] or 'is not given'}"


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
