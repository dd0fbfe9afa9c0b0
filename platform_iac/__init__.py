"""One typed spec to a running AI platform."""
