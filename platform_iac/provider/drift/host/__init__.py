"""What runs on hosts: sent over ssh as text, standard library only, Python 3.9 or newer, reads and never writes."""
