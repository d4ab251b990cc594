"""What a stored DNS access writes with, and what is wrong with one that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.providers import ProviderRecords
from mailadmin.acme.dns.updating import DynamicUpdates
from mailadmin.acme.dns.wire import Server
from mailadmin.acme.dns.writers import open_writer
from mailadmin.acme.models import DnsAccess
from mailadmin.acme.sealing import seal_secret

pytestmark = pytest.mark.django_db
SECRET = "c2VjcmV0LW9mLXRoZS1wYW5lbA=="
TSIG = {"server": "192.0.2.1", "port": 5353, "key_name": "panel", "algorithm": "hmac-sha512"}


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, settings: Settings) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"
    settings.DNS_RESOLVERS = ["127.0.0.1:8053"]


def make_access(kind: str, settings: dict[str, Any], secret: str) -> DnsAccess:
    row = DnsAccess(title="Zone", kind=kind, settings=settings, created_by="ada")
    row.secret = seal_secret(secret) if secret else None
    return row


def test_dynamic_updates_with_the_key_that_was_sealed() -> None:
    writer = open_writer(make_access("rfc2136", TSIG, SECRET))
    assert isinstance(writer, DynamicUpdates)
    assert (writer.host, writer.port, writer.key.secret) == ("192.0.2.1", 5353, SECRET)
    assert writer.resolver.servers == (Server("127.0.0.1", 8053),)


def test_a_provider_with_the_options_that_were_sealed() -> None:
    settings = {"provider": "powerdns", "options": {"pdns_server": "https://ns.example.org"}}
    writer = open_writer(make_access("lexicon", settings, json.dumps({"auth_token": SECRET})))
    assert isinstance(writer, ProviderRecords)
    assert writer.options == {"pdns_server": "https://ns.example.org", "auth_token": SECRET}
    assert SECRET not in repr(writer)


@pytest.mark.parametrize(
    ("kind", "told", "secret", "code"),
    [
        ("rfc2136", {}, SECRET, "dns.access_incomplete"),
        ("rfc2136", TSIG, "", "dns.tsig_secret_invalid"),
        ("rfc2136", TSIG | {"algorithm": "hmac-md5"}, SECRET, "dns.tsig_algorithm"),
        ("lexicon", {"provider": "desec"}, SECRET, "dns.access_incomplete"),
        ("lexicon", {"provider": "desec"}, "[]", "dns.access_incomplete"),
        ("lexicon", {"provider": "desec", "options": 1}, "", "dns.access_incomplete"),
        ("lexicon", {}, "", "dns.provider_unknown"),
    ],
)
def test_one_that_cannot_be_used(kind: str, told: dict[str, Any], secret: str, code: str) -> None:
    with pytest.raises(DnsFailure) as error:
        open_writer(make_access(kind, told, secret))
    assert error.value.problem.code == code
