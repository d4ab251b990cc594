"""The signature of a webhook. How a receiver checks it is in ``docs/webhooks.md``."""

from __future__ import annotations

import hashlib
import hmac

HEADER = "X-Mailadmin-Signature"


def sign(secret: str, body: bytes, seconds: int) -> str:
    """Return ``t=SECONDS,v1=HEX``: HMAC-SHA256 over the time, a dot and the body as sent.

    ``seconds`` is Unix time; being signed, it lets a receiver refuse a message that is replayed.
    """
    signed = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={signed.hexdigest()}"
