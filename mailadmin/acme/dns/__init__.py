"""DNS for challenges: looking up, writing TXT records, and seeing them on every server.

Knows no models. Everything raised is a ``DnsFailure`` whose problem holds no secret.
"""
