"""The fabric as one value, and everything that is read off it: tables, pictures, files of other tools, differences.

Knows numbers and names only: no spec, no plan, no host is reached.
"""
