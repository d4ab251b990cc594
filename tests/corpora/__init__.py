"""Certificates, keys and containers that nobody here made, each with the verdict it deserves."""
