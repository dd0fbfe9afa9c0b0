"""Kinds of the family `fabric`."""
