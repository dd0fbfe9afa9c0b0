"""Kinds of the family `storage`."""
