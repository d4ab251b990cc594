"""Taking over a host whose port shows two certificates that cannot be a pair here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments import services
from mailadmin.deployments.runner import HostReport
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.keys import KeyKind
from tests.factories import make_actor
from tests.throwaway_pki import Issued, ThrowawayCa, draw_key

NAME = "mail.example.org"
pytestmark = pytest.mark.django_db


def issue(kind: KeyKind, *, is_expired: bool = False) -> Issued:
    end = datetime.now(UTC) - timedelta(days=1) if is_expired else None
    return ThrowawayCa().issue([NAME], key=draw_key(kind), not_after=end)


def adopt(monkeypatch: pytest.MonkeyPatch, rsa: Issued, ecdsa: Issued) -> None:
    prints = [read_certificate(issued.cert_pem).fingerprint for issued in (rsa, ecdsa)]
    report = HostReport(
        versions={},
        listeners=(),
        certificates=tuple(
            {"leaf_pem": issued.cert_pem.decode(), "chain_pem": issued.chain_pem.decode()}
            for issued in (rsa, ecdsa)
        ),
        served_fingerprint=prints[0],
        served_pairs=((prints[0], prints[1]),),
    )
    monkeypatch.setattr(services, "look_at_host", lambda _socket: report)
    services.adopt_server(actor=make_actor(), host_name=NAME)


def test_why_two_stay_apart_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(monkeypatch, issue(KeyKind.RSA_2048), issue(KeyKind.ECDSA_P256, is_expired=True))
    assert not Certificate.objects.filter(companion__isnull=False).exists()
    event = AuditEvent.objects.get(verb="certificate.paired")
    assert event.outcome == "refused"
    assert "ECDSA P-256) expired on" in event.reason
    assert event.object_id == str(Certificate.objects.get(key_description="RSA 2048").pk)


def test_two_that_can_be_a_pair_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(monkeypatch, issue(KeyKind.RSA_2048), issue(KeyKind.ECDSA_P256))
    assert Certificate.objects.filter(companion__isnull=False).count() == 2
    assert AuditEvent.objects.get(verb="certificate.paired").outcome == "ok"
