"""Service `mlflow`: experiments, models and their artifacts, with a login for every member of a team.

The server runs beside its own PostgreSQL, which it reaches over the local socket without a password.
Logins and compute hosts get a Python environment and, for each member, a login that only they read.
Members may read everything, create experiments and models, and change what they made. Artifacts go
through the server to the bucket of the service's name where a storage has one, else to its own disk.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator

from platform_iac.kinds.storage import _s3
from platform_iac.plan import floors
from platform_iac.plan.model import Check, Endpoint, File, Part, Run, Secret, Unit
from platform_iac.plan.render import beside, render
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import Domain, Port, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.kinds.storage._s3 import Bucket
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

FLOOR: Final = floors.python("mlflow")
"""Older releases create an administrator whose password everyone knows (MLflow's release notes of 3.16.1)."""

ENVIRONMENT: Final = ("pandas==3.1.1", "scikit-learn==1.9.1", "skops==0.16.0")
"""What jobs have beside MLflow's client: signatures need pandas, and models of scikit-learn without pickle skops."""

DRIVER: Final = "psycopg2-binary==2.9.13"
S3_CLIENT: Final = "boto3==1.44.8"
POSTGRESQL: Final = "15"  # Debian bookworm's
PACKAGES: Final = (
    f"postgresql-{POSTGRESQL}",
    f"postgresql-client-{POSTGRESQL}",
    "postgresql-client-common",
    "postgresql-common",
)
"""All that begins with `postgresql-`: their own apt configuration keeps `autoremove` from taking them away again."""

PEOPLE: Final = ("login", "compute")
EXAMPLES: Final = beside("examples")
EXAMPLE_FILES: Final = ("infer.py", "infer.sbatch", "retrain.py", "retrain.sbatch", "train.py", "train.sbatch")
LOGINS: Final = "/etc/platform-iac/mlflow"
UNIT: Final = "/etc/systemd/system/mlflow.service"
AUTH: Final = "/etc/mlflow/auth.ini"
SECRETS: Final = "/etc/mlflow/secrets.env"


class Spec(Model):
    """MLflow's tracking server and model registry on the host with `duty: services`."""

    kind: Literal["mlflow"] = setting(impact="replace", description="MLflow.")
    version: Annotated[str, Field(max_length=20)] = setting(
        "3.17.2", impact="restart", description="Release of MLflow, 3.16.1 or newer."
    )
    port: Port = setting(5000, impact="restart", description="TCP port of the server.")
    workers: Annotated[int, Field(ge=1, le=64)] = setting(
        2, impact="restart", description="Processes that answer, 300 MB each."
    )
    names: tuple[Domain, ...] = setting(
        (), impact="restart", description="Further names under which browsers open it, as behind a proxy."
    )
    default_permission: Literal["READ", "NO_PERMISSIONS"] = setting(
        "READ", impact="restart", description="What members may do with what others made."
    )

    @field_validator("version")
    @classmethod
    def _floor(cls, version: str) -> str:
        if re.fullmatch(r"\d{1,4}\.\d{1,4}\.\d{1,4}", version) is None:
            raise wrong(f"{version[:40]!r} is no release of MLflow — write three numbers, as in 3.17.2")
        if tuple(int(part) for part in version.split(".")) < FLOOR:
            raise wrong(f"MLflow {version} comes with an administrator whose password is public — use 3.16.1 or newer")
        return version


@dataclass(frozen=True, slots=True)
class _Secrets:
    """The service's secrets: the administrator's password, the key of browser sessions, members' passwords."""

    admin: Secret
    session: Secret
    people: dict[str, Secret]

    @property
    def all(self) -> tuple[Secret, ...]:
        return (self.admin, self.session, *self.people.values())


LOCAL_ARTIFACTS: Final = "/var/lib/mlflow/artifacts"


def _secrets(name: str, context: Context) -> _Secrets:
    return _Secrets(
        admin=Secret(name=f"{name}.admin", length_bytes=24),
        session=Secret(name=f"{name}.session"),
        people={member: Secret(name=f"{name}.user.{member}", length_bytes=24) for member in context.members()},
    )


def plan(name: str, spec: Spec, context: Context) -> Part:
    """Return the runs `postgresql`, `mlflow` and `mlflow_client`."""
    host = context.the("services", asked_by=f"service `{name}`")
    secrets = _secrets(name, context)
    runs = [_postgresql(name, host), _server(name, spec, host, secrets, context)]
    users = context.with_duty(*PEOPLE)
    if users:
        runs.append(_client(spec, host, users, secrets.people, context))
    return Part(
        runs=tuple(runs),
        secrets=secrets.all,
        endpoints=(Endpoint(name=name, host=host.name, port=spec.port, user="admin", secret=secrets.admin.name),),
        pip=tuple(sorted({*server_requirements(name, spec, context), *(client_requirements(spec) if users else ())})),
    )


def server_requirements(name: str, spec: Spec, context: Context) -> tuple[str, ...]:
    """Return the server's Python requirements."""
    own = (f"mlflow[auth]=={spec.version}", DRIVER)
    return (S3_CLIENT, *own) if _s3.bucket(name, context) else own


def client_requirements(spec: Spec) -> tuple[str, ...]:
    """Return the jobs' Python requirements: MLflow's client is the server's release."""
    return (f"mlflow-skinny=={spec.version}", *ENVIRONMENT)


def address(spec: Spec, host: Host) -> str:
    """Return the address at which jobs reach the server."""
    return f"http://{host.fqdn}:{spec.port}"


def _index(host: Host, context: Context) -> str:
    mirror = context.mirror_of(host.site)
    return f"{mirror}/pypi/simple/" if mirror else ""


def _for_environments(*hosts: Host, context: Context) -> tuple[str, ...]:
    """Debian packages without which no environment can be made: hosts with no index of ours need pip."""
    return () if all(_index(host, context) for host in hosts) else ("python3-venv",)


def _database(name: str) -> str:
    """The SQLAlchemy address of a database on the local socket; peer authentication needs no more."""
    return f"postgresql+psycopg2:///{name}?host=/var/run/postgresql"


def _postgresql(name: str, host: Host) -> Run:
    folder = f"/etc/postgresql/{POSTGRESQL}/main"
    conf, hba = f"{folder}/conf.d/platform.conf", f"{folder}/pg_hba.conf"
    text = render("postgresql", "platform.conf.j2", max_connections=60, shared_buffers_mib=64)
    return Run(
        name="postgresql",
        role="postgresql",
        hosts=(host.name,),
        packages=PACKAGES,
        files=(
            File(path=conf, content=text, owner="postgres", group="postgres"),
            File(
                path=hba,
                content=render("postgresql", "pg_hba.conf.j2"),
                mode="0640",
                owner="postgres",
                group="postgres",
            ),
        ),
        units=(Unit(name=f"postgresql@{POSTGRESQL}-main.service", restart_on=(conf,), reload_on=(hba,)),),
        vars={"databases": {name: "mlflow", f"{name}_auth": "mlflow"}},
        needs=("base",),
    )


def _server(name: str, spec: Spec, host: Host, secrets: _Secrets, context: Context) -> Run:
    users, made_of = "/etc/mlflow/users.json", "/etc/mlflow/requirements.txt"
    requirements = server_requirements(name, spec, context)
    bucket = _s3.bucket(name, context)
    ini = render(
        "mlflow", "auth.ini.j2", database=_database(f"{name}_auth"), default_permission=spec.default_permission
    )
    passwords = {member: secret.placeholder for member, secret in secrets.people.items()}
    key = render(
        "mlflow",
        "secrets.env.j2",
        admin=secrets.admin.placeholder,
        session=secrets.session.placeholder,
        bucket=bucket,
    )
    asked = (*secrets.all, *((bucket.secret_key,) if bucket else ()))
    files = (
        File(path=AUTH, content=ini),
        File(path=made_of, content="".join(f"{requirement}\n" for requirement in requirements)),
        File(path=SECRETS, content=key, mode="0600"),
        File(path=users, content=json.dumps(passwords, indent=1) + "\n", mode="0600"),
        File(path=UNIT, content=_unit(name, spec, host, bucket)),
    )
    return Run(
        name="mlflow",
        role="mlflow",
        hosts=(host.name,),
        packages=("curl", *_for_environments(host, context=context)),
        files=files,
        units=(Unit(name="mlflow.service", restart_on=(AUTH, made_of, SECRETS, UNIT)),),
        vars={
            "requirements": requirements,
            "index": _index(host, context),
            "database": _database(name),
            "accounts_database": _database(f"{name}_auth"),
            "port": spec.port,
            "users_file": users,
            "admin_file": SECRETS,
        },
        secrets=tuple(sorted(secret.name for secret in asked)),
        needs=("base", "postgresql", *((bucket.run,) if bucket else ())),
    )


def _unit(name: str, spec: Spec, host: Host, bucket: Bucket | None) -> str:
    names = (host.name, host.fqdn, host.address, *spec.names)
    return render(
        "mlflow",
        "mlflow.service.j2",
        postgresql=POSTGRESQL,
        secrets=SECRETS,
        auth=AUTH,
        database=_database(name),
        artifacts=f"s3://{bucket.name}" if bucket else LOCAL_ARTIFACTS,
        port=spec.port,
        workers=spec.workers,
        allowed_hosts=(*(f"{one}:{spec.port}" for one in names), *spec.names, "localhost:*", "127.0.0.1:*"),
        origins=(
            *(f"http://{one}:{spec.port}" for one in names),
            *(f"{scheme}://{one}" for one in spec.names for scheme in ("http", "https")),
        ),
    )


def _client(spec: Spec, server: Host, hosts: tuple[Host, ...], people: dict[str, Secret], context: Context) -> Run:
    profile = render("mlflow_client", "profile.sh.j2", address=address(spec, server), logins=LOGINS)
    files = [
        File(path="/etc/profile.d/platform-mlflow.sh", content=profile),
        *(
            File(path=f"/opt/platform/examples/digits/{name}", content=_example(f"digits/{name}"))
            for name in EXAMPLE_FILES
        ),
        *(
            File(
                path=f"{LOGINS}/{member}",
                content=render(
                    "mlflow_client",
                    "netrc.j2",
                    names=(server.fqdn, server.name),
                    user=member,
                    password=secret.placeholder,
                ),
                mode="0400",
                owner=member,
                group=member,
            )
            for member, secret in people.items()
        ),
    ]
    indexes = {host.name: _index(host, context) for host in hosts}
    same = len(set(indexes.values())) == 1
    common = {"requirements": client_requirements(spec), "imports": ("mlflow.sklearn", "pandas", "sklearn", "skops.io")}
    return Run(
        name="mlflow_client",
        role="mlflow_client",
        hosts=tuple(indexes),
        packages=_for_environments(*hosts, context=context),
        files=tuple(sorted(files, key=lambda file: file.path)),
        vars={**common, "index": next(iter(indexes.values()))} if same else common,
        host_vars={} if same else {name: {"index": index} for name, index in indexes.items()},
        secrets=tuple(sorted(secret.name for secret in people.values())),
        needs=("base",),
        after=("mlflow",),
    )


@cache
def _example(path: str) -> str:
    return (EXAMPLES / path).read_text(encoding="utf-8")


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:
    """Return what proves the server, its login, and that a member's account on each login host gets in."""
    host = context.the("services", asked_by=f"service `{name}`")
    local = f"http://127.0.0.1:{spec.port}"
    curl = ("curl", "-sS", "-m", "30")
    status = ("-o", "/dev/null", "-w", "%{http_code}")
    return (
        Check(name=f"{name} answers", host=host.name, argv=(*curl, f"{local}/health"), expect="^OK$"),
        Check(
            name=f"{name} is MLflow {spec.version}",
            host=host.name,
            argv=(
                "/opt/platform/mlflow/bin/python",
                "-c",
                "import importlib.metadata as m; print(m.version('mlflow'))",
            ),
            expect=rf"^{re.escape(spec.version)}$",
        ),
        Check(
            name=f"{name} lets no one in without a login",
            host=host.name,
            argv=(*curl, *status, f"{local}/api/2.0/mlflow/experiments/search?max_results=1"),
            expect="^401$",
        ),
        *_logins(name, context),
    )


def _logins(name: str, context: Context) -> Iterator[Check]:
    """A member's own account gets in from each login host, by nothing but the login shell's environment."""
    ask = "import mlflow; print('reached', len(mlflow.search_experiments()) > 0)"
    for member in tuple(context.members())[:1]:
        for login in context.with_duty("login"):
            yield Check(
                name=f"{member} reaches {name} from {login.name}",
                host=login.name,
                argv=("bash", "-lc", f'exec "$PLATFORM_PYTHON" -c "{ask}"'),
                expect="^reached True$",
                user=member,
                timeout_seconds=120,
            )
