"""The Pulumi policy pack: `pulumi preview --policy-pack policies`. Assembly only; `PolicyPack` never returns."""

from pulumi_policy import PolicyPack

from policies.pack import policies

PolicyPack(name="platform-iac", policies=policies())
