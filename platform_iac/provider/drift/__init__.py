"""Drift: what a host has that the plan does not say, asked in one round trip and told in sentences."""
