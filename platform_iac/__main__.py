"""The Pulumi program: load the stack's spec, plan it, declare it."""

import pulumi

from platform_iac.components.platform import Platform
from platform_iac.plan.make import make
from platform_iac.spec.load import load, locate

stack = pulumi.Config().get("spec") or pulumi.get_stack()
platform = Platform(make(load(stack)), locate(stack).parent.resolve(), stack)
pulumi.export("endpoints", platform.endpoints)
