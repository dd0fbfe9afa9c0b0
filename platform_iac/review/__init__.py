"""What a change does, as a reviewer reads it: two specs and two plans in, Markdown and SARIF out. Pure."""
