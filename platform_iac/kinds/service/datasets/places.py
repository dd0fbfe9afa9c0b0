"""Where datasets come from and go to: folders, buckets of our own, other object stores, hosts of other sites.

Each is a remote of rclone's configuration and an address in it. Keys of our own buckets are secrets of
the stack; what others gave out lies in files that an administrator puts on the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from platform_iac.kinds.storage import _s3
from platform_iac.plan.context import PlanError
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import AbsolutePath, Domain, Label, Port, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.plan.context import Context

_KEYS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


def _prefix(text: str) -> str:
    if _KEYS.fullmatch(text) is None:
        raise wrong(f"{text[:80]!r} is no path in a bucket — write names with / between them, as in vision/digits")
    return text


def _account(text: str) -> str:
    if _USER.fullmatch(text) is None:
        raise wrong(f"{text[:80]!r} is no account — use up to 31 of a-z, 0-9, _ and -, beginning with a letter")
    return text


Prefix = Annotated[str, Field(max_length=200), AfterValidator(_prefix)]
Account = Annotated[str, AfterValidator(_account)]


class Folder(Model):
    """A folder on the host that moves, as of another mounted file system."""

    kind: Literal["folder"] = setting(impact="reconfigure", description="A folder on the host that moves.")
    path: AbsolutePath = setting(impact="reconfigure", description="The folder.")


class Bucket(Model):
    """A bucket of the platform's own object store, with the account that owns it."""

    kind: Literal["bucket"] = setting(impact="reconfigure", description="A bucket of the platform's own storage.")
    bucket: Label = setting(impact="reconfigure", description="Its name under `s3.buckets` of a storage.")
    path: Prefix = setting(impact="reconfigure", description="Where in the bucket.")


class S3(Model):
    """A bucket of an object store elsewhere, over TLS."""

    kind: Literal["s3"] = setting(impact="reconfigure", description="An object store elsewhere.")
    endpoint: Domain = setting(impact="reconfigure", description="Its name; it is asked over https.")
    bucket: Label = setting(impact="reconfigure", description="The bucket.")
    path: Prefix = setting(impact="reconfigure", description="Where in the bucket.")
    region: Label = setting("us-east-1", impact="reconfigure", description="The region that requests are signed for.")
    credentials: AbsolutePath | None = setting(
        None,
        impact="reconfigure",
        description="File with the access key on the host, as AWS's tools write it; left out, nobody logs in.",
    )


class Sftp(Model):
    """A host of another site, over SSH with a known host key."""

    kind: Literal["sftp"] = setting(impact="reconfigure", description="A host of another site, over SSH.")
    host: Domain = setting(impact="reconfigure", description="The host's name.")
    port: Port = setting(22, impact="reconfigure", description="TCP port of its SSH server.")
    user: Account = setting(impact="reconfigure", description="The account there.")
    key: AbsolutePath = setting(impact="reconfigure", description="File with the private key on the host that moves.")
    known_hosts: AbsolutePath = setting(
        impact="reconfigure", description="File with the other host's key on the host that moves."
    )
    path: AbsolutePath = setting(impact="reconfigure", description="The folder there.")


Place = Annotated[Folder | Bucket | S3 | Sftp, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Remote:
    """A place as rclone knows it: its address, the section that describes it, and what must come first."""

    address: str
    section: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def remote(name: str, place: Folder | Bucket | S3 | Sftp, context: Context, *, asked_by: str) -> Remote:
    """Return a place as a remote called `name`.

    Raises:
        PlanError: no storage has the bucket.
    """
    if isinstance(place, Folder):
        return Remote(place.path, {})
    if isinstance(place, Sftp):
        return Remote(f"{name}:{place.path}", _sftp(place))
    address = f"{name}:{place.bucket}/{place.path}"
    if isinstance(place, S3):
        return Remote(address, _foreign(place))
    bucket = _s3.bucket(place.bucket, context)
    if bucket is None:
        raise PlanError(
            f"{asked_by}: no storage has a bucket `{place.bucket}` — add it under `s3.buckets` of a storage"
        )
    section = {
        "type": "s3",
        "provider": "Ceph",
        "endpoint": bucket.endpoint,
        "access_key_id": bucket.access_key,
        "secret_access_key": bucket.secret_key.placeholder,
        "no_check_bucket": "true",  # the account owns the one bucket and may make no other
    }
    return Remote(address, section, (bucket.secret_key.name,), (bucket.run,))


def _foreign(place: S3) -> dict[str, str]:
    section = {
        "type": "s3",
        "provider": "Other",
        "endpoint": f"https://{place.endpoint}",
        "region": place.region,
        "no_check_bucket": "true",
    }
    if place.credentials:
        section |= {"env_auth": "true", "shared_credentials_file": place.credentials}
    return section


def _sftp(place: Sftp) -> dict[str, str]:
    return {
        "type": "sftp",
        "host": place.host,
        "port": str(place.port),
        "user": place.user,
        "key_file": place.key,
        "known_hosts_file": place.known_hosts,
    }
