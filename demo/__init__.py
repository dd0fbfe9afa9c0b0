"""A demonstration: from a pull request that breaks a policy to production, on twins. `make demo-promotion` runs it."""
