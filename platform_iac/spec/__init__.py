"""INPUT: a typed spec, read from YAML with the position of every value."""
