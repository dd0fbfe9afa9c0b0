"""Policies: what a plan may not be. Rules are pure and judge what the spec decides, never what a host answers.

`values` (plain data in which some of it is unknown) → `target` (a resource, seen by type) → `rules/<subject>` →
`judge` (resources to a report). The Pulumi pack (`__main__`) and `platform-iac policy` call the same `judge`.
"""
