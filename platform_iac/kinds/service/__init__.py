"""Kinds of the family `service`."""
