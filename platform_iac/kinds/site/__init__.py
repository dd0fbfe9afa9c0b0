"""Kinds of the family `site`."""
