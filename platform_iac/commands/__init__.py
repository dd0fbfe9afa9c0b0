"""The verbs of `platform-iac`, one module each."""
