"""A web panel for the TLS and the ports of a mail server."""
