"""The digital twin: machines with real systemd and real sshd in a network of their own.

Plain functions over plain values; nothing here knows Pulumi, plans or kinds. What a lab is made of
is named after it, so that all of it can be found and removed by its name alone:

- network namespace `platform-iac-<lab>`,
- cgroups `platform-iac/<lab>/<machine>`, which hold every process of the lab,
- directory `<state>/labs/<lab>/`, which holds its files and mounts.
"""
