"""Authorities that are known by name: where their directories are, and what one should know first.

Facts of 2026-11, from the authorities' own documentation: letsencrypt.org/docs/ (staging
environment, CAA), help.zerossl.com (CAA), Google's Public CA tutorial, and the notice by which
Buypass ended. What a directory says of itself (``meta``, RFC 8555, section 7.1.1) goes before them.
``note`` is a code with a sentence, as a problem's.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class KnownAuthority:
    """An authority. ``staging_url`` is empty if it has no place to rehearse.

    ``needs_eab``: an account needs a key that the authority hands out (RFC 8555, section 7.3.4).
    ``caa_identities``: what a CAA record has to name, until the directory says it.
    """

    key: str
    title: str
    directory_url: str
    staging_url: str
    website: str
    needs_eab: bool
    caa_identities: tuple[str, ...]
    note: str
    is_open: bool = True


LETS_ENCRYPT = KnownAuthority(
    key="letsencrypt",
    title="Let’s Encrypt",
    directory_url="https://acme-v02.api.letsencrypt.org/directory",
    staging_url="https://acme-staging-v02.api.letsencrypt.org/directory",
    website="https://letsencrypt.org/",
    needs_eab=False,
    caa_identities=("letsencrypt.org",),
    note="acme.about_letsencrypt",
)
ZEROSSL = KnownAuthority(
    key="zerossl",
    title="ZeroSSL",
    directory_url="https://acme.zerossl.com/v2/DV90",
    staging_url="",
    website="https://zerossl.com/",
    needs_eab=True,
    caa_identities=("sectigo.com",),
    note="acme.about_zerossl",
)
GOOGLE = KnownAuthority(
    key="google",
    title="Google Trust Services",
    directory_url="https://dv.acme-v02.api.pki.goog/directory",
    staging_url="https://dv.acme-v02.test-api.pki.goog/directory",
    website="https://pki.goog/",
    needs_eab=True,
    caa_identities=("pki.goog",),
    note="acme.about_google",
)
BUYPASS = KnownAuthority(
    key="buypass",
    title="Buypass",
    directory_url="https://api.buypass.com/acme/directory",
    staging_url="https://api.test4.buypass.no/acme/directory",
    website="https://www.buypass.com/",
    needs_eab=False,
    caa_identities=("buypass.com",),
    note="acme.about_buypass",
    is_open=False,
)

KNOWN_AUTHORITIES = (LETS_ENCRYPT, ZEROSSL, GOOGLE)
# They issue no more; known so that whoever types their address learns it before anything fails.
ENDED_AUTHORITIES = (BUYPASS,)


def find_known(url: str) -> KnownAuthority | None:
    """Return the authority with this directory, or with this staging directory."""
    wanted = _comparable(url)
    for known in KNOWN_AUTHORITIES + ENDED_AUTHORITIES:
        if wanted in map(_comparable, filter(None, (known.directory_url, known.staging_url))):
            return known
    return None


def is_staging(url: str) -> bool:
    """Tell whether this is the place where a known authority lets one rehearse."""
    known = find_known(url)
    return known is not None and _comparable(url) == _comparable(known.staging_url)


def _comparable(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url.strip())
        return (parts.hostname or "").lower(), parts.path.rstrip("/")
    except ValueError:
        return "", url
