"""Ansible, run for one role on some hosts: private, cancellable, and told in events."""
