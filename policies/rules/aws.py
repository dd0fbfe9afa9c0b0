"""AWS: metadata by token, nothing open to the world, everything encrypted, tagged, and within a budget.

Types and properties are pulumi-aws 7's (`aws:<module>/<resource>:<Resource>`), with version 6's names for S3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from policies.rule import Rule
from policies.values import UNKNOWN, UnjudgedError, View

if TYPE_CHECKING:
    from policies.rule import Context
    from policies.target import Stack, Target

INSTANCE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
NODES = "aws:eks/nodeGroup:NodeGroup"
RESERVED = "aws:ec2/capacityReservation:CapacityReservation"
CLUSTER = "aws:eks/cluster:Cluster"
VOLUME = "aws:ebs/volume:Volume"
EFS = "aws:efs/fileSystem:FileSystem"
LUSTRE = "aws:fsx/lustreFileSystem:LustreFileSystem"
DATABASES = ("aws:rds/instance:Instance", "aws:rds/cluster:Cluster")
OPENINGS = (
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/securityGroupRule:SecurityGroupRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
)
BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
ACLS = ("aws:s3/bucketAcl:BucketAcl", "aws:s3/bucketAclV2:BucketAclV2")
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ACCOUNT_BLOCK = "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
GRANTS = ("accessControlPolicy", "grants")
ONE_ACCOUNT = ("id", "displayName", "emailAddress")
"""Parts of a grant that may be unknown: each names one account, none names everyone."""

HOLDS = re.compile(r"(foranyvalue:)?(stringequals(ignorecase)?|stringlike|arnequals|arnlike|ipaddress)")
"""Operators of a condition that fail where the key is not there, as `…IfExists` and `…Not…` do not."""

SOMEBODY = frozenset(
    {
        *(f"aws:principal{part}" for part in ("arn", "account", "orgid")),
        *(f"aws:source{part}" for part in ("arn", "account", "owner", "orgid", "vpc", "vpce", "ip")),
        *("aws:userid", "s3:dataaccesspointarn", "s3:dataaccesspointaccount"),
    }
)
"""Keys that say who asks or from where (Amazon S3, The meaning of "public")."""

TAGGED = (INSTANCE, TEMPLATE, RESERVED, CLUSTER, NODES, VOLUME, EFS, LUSTRE, *DATABASES, *BUCKETS)


def _metadata(target: Target, context: Context) -> Iterator[str]:
    options = target.view.at("metadataOptions")
    found = options.items()
    view = found[0] if found else View({}, "metadataOptions")
    if view.text("httpEndpoint").lower() == "disabled":
        return
    if view.text("httpTokens").lower() != "required":
        yield f"metadataOptions.httpTokens is {view.text('httpTokens') or 'not set'}"
    if (hops := view.number("httpPutResponseHopLimit")) is not None and hops > context.settings["hops"]:
        yield f"metadataOptions.httpPutResponseHopLimit is {hops:g}"


def _wide(cidr: str, widest: int) -> bool:
    """Whether a network is more of the world than a site is: shorter than `widest` bits, and not private."""
    try:
        network = ip_network(cidr.strip(), strict=False)
    except ValueError:
        raise UnjudgedError(f"{cidr!r} is no network") from None
    limit = widest if network.version == 4 else widest + 16
    return network.prefixlen < limit and not network.is_private


def _openings(target: Target) -> Iterator[tuple[View, list[str]]]:
    if target.type == OPENINGS[3]:
        yield target.view, [text for name in ("cidrIpv4", "cidrIpv6") if (text := target.view.text(name))]
        return
    if target.type == OPENINGS[2]:
        rules = [target.view] if target.view.text("type").lower() != "egress" else []
    else:
        rules = target.view.items("ingress")
    for rule in rules:
        yield rule, [*rule.texts("cidrBlocks"), *rule.texts("ipv6CidrBlocks")]


def _open(target: Target, context: Context) -> Iterator[str]:
    allowed = {int(port) for port in context.settings["ports"]}
    for rule, networks in _openings(target):
        wide = [network for network in networks if _wide(network, context.settings["bits"])]
        if not wide:
            continue
        protocol = (rule.text("protocol") or rule.text("ipProtocol") or "-1").lower()
        first, last = rule.number("fromPort"), rule.number("toPort")
        if protocol in ("-1", "all") or first is None or last is None or first < 0:
            yield f"every port is open to {', '.join(wide)}"
        elif not set(range(int(first), min(int(last), int(first) + 70_000) + 1)) <= allowed:
            yield f"ports {first:g} to {last:g} ({protocol}) are open to {', '.join(wide)}"


def _encrypted(target: Target, context: Context) -> Iterator[str]:
    del context
    view = target.view
    disks: list[tuple[View, str]] = []
    if target.type == INSTANCE:
        disks = [(each, "encrypted") for name in ("rootBlockDevice", "ebsBlockDevices") for each in view.items(name)]
        if not view.items("rootBlockDevice"):
            yield "rootBlockDevice is not set, so its encryption is the account's default"
    elif target.type == TEMPLATE:
        disks = [(each.at("ebs"), "encrypted") for each in view.items("blockDeviceMappings") if each.at("ebs").known()]
        if not disks:
            yield "blockDeviceMappings is not set, so encryption is the image's"
    elif target.type in (VOLUME, EFS):
        disks = [(view, "encrypted")]
    elif target.type in DATABASES:
        disks = [(view, "storageEncrypted")]
    elif target.type == CLUSTER:
        resources = [text.lower() for each in view.items("encryptionConfig") for text in each.texts("resources")]
        if "secrets" not in resources:
            yield "encryptionConfig does not name secrets"
    for disk, key in disks:
        if not disk.flag(key):
            yield f"{disk.at(key).path} is not true"


def _buckets(stack: Stack, context: Context) -> Iterator[str]:
    """No bucket is public by ACL or policy, and each has a block that keeps it so."""
    del context
    for target in stack.of_type(*BUCKETS, *ACLS):
        if (acl := target.view.text("acl").lower()).startswith(("public", "authenticated-read")):
            yield f"{target.name}: acl is {acl}"
        for grant in (below for name in GRANTS for below in target.view.at(name).walk()):
            known = grant.known() if grant.path.rpartition(".")[2] not in ONE_ACCOUNT else None
            if isinstance(known, str) and "/groups/global/" in known.lower():
                yield f"{target.name}: {grant.path} is everyone"
    for target in stack.of_type(POLICY, *BUCKETS):
        for statement in _statements(target.view.at("policy")):
            if statement.get("Effect", "Allow") == "Allow" and _everyone(statement) and not _restricted(statement):
                yield f"{target.name}: its policy allows everyone"
    blocks = list(stack.of_type(BLOCK, ACCOUNT_BLOCK))
    for target in blocks:
        if off := [name for name in BLOCKS if not target.view.flag(name)]:
            yield f"{target.name}: {', '.join(off)} not true"
    if any(target.type == ACCOUNT_BLOCK for target in blocks):
        return
    buckets = list(stack.of_type(*BUCKETS))
    named = [target.view.at("bucket").value for target in blocks]
    for target in buckets:
        own = target.view.at("bucket").value
        matched = own is not UNKNOWN and own is not None and own in named
        if not matched and not (UNKNOWN in named and len(named) >= len(buckets)):
            yield f"{target.name}: no BucketPublicAccessBlock names it"


def _statements(policy: View) -> list[dict[str, Any]]:
    found = policy.known()
    if found is None:
        return []
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            raise UnjudgedError(f"{policy.path} is no JSON") from None
    statements = [each for each in View(found, policy.path).items("Statement") if isinstance(each.known(), dict)]
    for statement in statements:
        for part in ("Effect", "Principal", "NotPrincipal", "Condition"):
            for below in statement.at(part).walk():
                below.known()
    return [statement.value for statement in statements]


def _everyone(statement: dict[str, Any]) -> bool:
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    named = principal.values() if isinstance(principal, dict) else [principal]
    return any("*" in (each if isinstance(each, list) else [each]) for each in named)


def _restricted(statement: dict[str, Any]) -> bool:
    """Whether a condition leaves only some of everyone: one that must hold, with a value that is theirs alone."""
    condition = statement.get("Condition")
    for operator, asked in condition.items() if isinstance(condition, dict) else ():
        if HOLDS.fullmatch(operator.lower()) and isinstance(asked, dict):
            for key, value in asked.items():
                values = value if isinstance(value, list) else [value]
                if values and key.lower() in SOMEBODY and all(_fixed(key.lower(), str(each)) for each in values):
                    return True
    return False


def _fixed(key: str, value: str) -> bool:
    """Whether a value is no network of half the world, and no pattern before an ARN's account has been named."""
    if key == "aws:sourceip":
        return not _wide(value, 16)
    parts = value.split(":")
    head = ":".join(parts[:5]) if len(parts) > 5 and parts[4] else value
    return not any(sign in head for sign in "*?$")


def _endpoints(target: Target, context: Context) -> Iterator[str]:
    del context
    view = target.view
    if target.type == CLUSTER:
        found = view.items("vpcConfig")
        config = found[0] if found else View({}, "vpcConfig")
        if config.flag("endpointPublicAccess", default=True):
            networks = config.texts("publicAccessCidrs")
            if not networks or any(_wide(network, 16) for network in networks):
                yield f"the API is open to {', '.join(networks) or 'everyone'}"
    elif target.type in DATABASES and view.flag("publiclyAccessible"):
        yield "publiclyAccessible is true"
    elif target.type == INSTANCE and view.flag("associatePublicIpAddress"):
        yield "associatePublicIpAddress is true"
    elif target.type == TEMPLATE:
        for each in view.items("networkInterfaces"):
            if each.flag("associatePublicIpAddress"):
                yield f"{each.path}.associatePublicIpAddress is true"
    elif target.type == "aws:lb/loadBalancer:LoadBalancer" and not view.flag("internal"):
        yield "internal is not true"


def _tags(target: Target, context: Context) -> Iterator[str]:
    tags = target.view.entries("tags")
    missing = [name for name in context.settings["tags"] if name not in tags or not tags[name].text().strip()]
    if missing:
        yield f"lacks the tags {', '.join(missing)}"


def _overrides(group: View) -> Iterator[str]:
    """Instance types that an Auto Scaling group may start beside its template's."""
    for policy in group.items("mixedInstancesPolicy"):
        for template in policy.items("launchTemplate"):
            for each in template.items("overrides"):
                yield each.text("instanceType")


def _cost(stack: Stack, context: Context) -> Iterator[str]:
    """What runs at most, by the hour: reservations are counted and not what runs in them as well."""
    prices, ceiling = context.settings["dollars_per_hour"], context.settings["ceiling"]

    def price(kind: str, where: str) -> float:
        if kind not in prices:
            raise UnjudgedError(f"{where}: the price of {kind or 'its instance type'} is not in `dollars_per_hour`")
        return float(prices[kind])

    templates = [target.view.text("instanceType") for target in stack.of_type(TEMPLATE)]
    total = 0.0
    for target in stack.of_type(INSTANCE, RESERVED, GROUP, NODES):
        view = target.view
        if target.type == INSTANCE:
            count, kinds = 1.0, [view.text("instanceType")]
        elif target.type == RESERVED:
            count, kinds = view.number("instanceCount") or 1, [view.text("instanceType")]
        elif target.type == GROUP:
            kinds = list(_overrides(view)) or templates
            count = view.number("maxSize") or 0
        else:
            scaling = view.items("scalingConfig")
            count = (scaling[0].number("maxSize") if scaling else None) or 1
            kinds = view.texts("instanceTypes") or templates or ["t3.medium"]
        if count:
            total += count * max((price(kind, target.name) for kind in kinds or [""]), default=0)
    if total > ceiling:
        yield f"at most {total:,.2f} dollars an hour, {ceiling:,.2f} are allowed"


RULES = (
    Rule(
        id="aws-imdsv2",
        why="Version 1 of the metadata service hands a role's keys to anyone who can make the host fetch an address.",
        do="Set metadataOptions.httpTokens to `required`, and the hop limit to `hops` or less.",
        reference="CKV_AWS_79, CKV_AWS_341",
        on=(INSTANCE, TEMPLATE),
        settings={"hops": 2},
        each=_metadata,
    ),
    Rule(
        id="aws-open-ports",
        why="What is open to the world is tried by the world within minutes.",
        do="Name the networks that need it; let people in through a login host or a VPN.",
        reference="CKV_AWS_24, CKV_AWS_25, CKV_AWS_260, CKV_AWS_277",
        on=OPENINGS,
        settings={"ports": [443], "bits": 16},
        each=_open,
    ),
    Rule(
        id="aws-encryption",
        why="Disks and snapshots leave the account more easily than machines do.",
        do="Set encrypted (storageEncrypted, encryptionConfig) to true, in the resource and not by default.",
        reference="CKV_AWS_3, CKV_AWS_8, CKV_AWS_16, CKV_AWS_42, CKV_AWS_58, CKV_AWS_96",
        on=(INSTANCE, TEMPLATE, VOLUME, EFS, CLUSTER, *DATABASES),
        each=_encrypted,
    ),
    Rule(
        id="aws-public-buckets",
        why="A public bucket is found by its name, and read by machines that guess names.",
        do="Give each bucket a BucketPublicAccessBlock with all four blocks, and its policy named principals.",
        reference="CKV_AWS_53, CKV_AWS_54, CKV_AWS_55, CKV_AWS_56, CKV_AWS_70",
        whole=_buckets,
    ),
    Rule(
        id="aws-public-endpoints",
        why="A control plane, a database or a node with a public address is one password from the world.",
        do="Keep endpoints private, or name the networks in publicAccessCidrs.",
        reference="CKV_AWS_17, CKV_AWS_38, CKV_AWS_39, CKV_AWS_88",
        on=(CLUSTER, INSTANCE, TEMPLATE, "aws:lb/loadBalancer:LoadBalancer", *DATABASES),
        each=_endpoints,
    ),
    Rule(
        id="aws-tags",
        why="What has no owner is neither paid for nor removed.",
        do="Give it the tags that `tags` names, none of them empty.",
        on=TAGGED,
        settings={"tags": ["platform", "environment"]},
        each=_tags,
    ),
    Rule(
        id="aws-cost",
        why="An eight-GPU instance costs as much in a month as a car.",
        do="Lower counts and sizes, or raise `ceiling`; write each type's price into `dollars_per_hour`.",
        settings={"ceiling": 100.0, "dollars_per_hour": {}},
        whole=_cost,
    ),
)
