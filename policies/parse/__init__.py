"""Small readers of the configuration that roles ship: as the programs themselves read it."""
