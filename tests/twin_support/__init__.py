"""What tests of roles on real machines share: a small lab, Ansible against it, and the acceptance of a role."""
