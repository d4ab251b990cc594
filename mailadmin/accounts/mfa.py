"""Second factors: their secrets are encrypted in the database."""

from __future__ import annotations

import base64

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class EncryptingMFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Seals TOTP secrets and recovery seeds with a key derived from ``SECRET_KEY``.

    A copy of the database alone then gives nobody a second factor. ``SECRET_KEY_FALLBACKS``
    still opens what an older key sealed.
    """

    def encrypt(self, text: str) -> str:
        """Return the sealed text."""
        return _box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return the text. Raises ``InvalidToken`` when no known key sealed it."""
        return _box().decrypt(encrypted_text.encode()).decode()


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derive(str(key))) for key in keys])


def _derive(secret: str) -> bytes:
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mailadmin second factors")
    return base64.urlsafe_b64encode(hkdf.derive(secret.encode()))
