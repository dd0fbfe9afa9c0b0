"""Figures of this platform against the plainest way to do the same, measured in one run: `make bench`."""
