"""From one environment to the next: what a release is, the evidence of where it went, and what must hold first."""
