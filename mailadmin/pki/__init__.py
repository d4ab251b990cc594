"""X.509 questions and answers. Pure: no I/O, no clock; only drawing a new key is not repeatable."""
