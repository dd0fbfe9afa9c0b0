"""PROVE: assertions over a plan against the running platform."""
