"""Desired state to file bytes for Postfix and Dovecot. Pure: no I/O, no clock."""
