"""Tests that share one Ceph cluster: a package, so that pytest takes it down when its last test is over."""
