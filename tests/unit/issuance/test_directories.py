"""The authorities that are known by name."""

from __future__ import annotations

import pytest

from mailadmin.issuance.directories import (
    BUYPASS,
    ENDED_AUTHORITIES,
    GOOGLE,
    KNOWN_AUTHORITIES,
    LETS_ENCRYPT,
    ZEROSSL,
    find_known,
    is_staging,
)


def test_every_authority_has_what_its_form_needs() -> None:
    everybody = KNOWN_AUTHORITIES + ENDED_AUTHORITIES
    assert len({known.key for known in everybody}) == len(everybody)
    for known in everybody:
        assert known.directory_url.startswith("https://")
        assert known.website.startswith("https://")
        assert known.caa_identities
        assert known.is_open == (known in KNOWN_AUTHORITIES)


def test_who_wants_a_key_of_its_own_for_an_account() -> None:
    assert [known.key for known in KNOWN_AUTHORITIES if known.needs_eab] == ["zerossl", "google"]


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://acme-v02.api.letsencrypt.org/directory", LETS_ENCRYPT),
        (" https://ACME-v02.api.letsencrypt.org/directory/ ", LETS_ENCRYPT),
        ("https://acme-staging-v02.api.letsencrypt.org/directory", LETS_ENCRYPT),
        ("https://acme.zerossl.com/v2/DV90", ZEROSSL),
        ("https://dv.acme-v02.api.pki.goog/directory", GOOGLE),
        ("https://api.buypass.com/acme/directory", BUYPASS),
        ("https://127.0.0.1:14000/dir", None),
        ("", None),
        ("https://[broken", None),
    ],
)
def test_an_authority_is_found_by_its_directory(url: str, known: object) -> None:
    assert find_known(url) is known


def test_a_staging_directory_is_known_as_one() -> None:
    assert is_staging(LETS_ENCRYPT.staging_url)
    assert not is_staging(LETS_ENCRYPT.directory_url)
    assert not is_staging(ZEROSSL.directory_url)
    assert not is_staging("https://ca.example/directory")
