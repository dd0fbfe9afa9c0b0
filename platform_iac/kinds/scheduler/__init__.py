"""Kinds of the family `scheduler`."""
