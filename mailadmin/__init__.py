"""A web panel for the TLS and the ports of a mail server."""

__version__ = "0.1.0"
