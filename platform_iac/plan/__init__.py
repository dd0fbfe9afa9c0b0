"""DECIDE: from a spec to the plan, purely."""
