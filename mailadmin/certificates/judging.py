"""The verdict over an upload, with all that the panel knows: its keys, its chains, the roots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mailadmin.certificates import selectors
from mailadmin.certificates.answering import add_answer, add_stored_certificate, read_stored
from mailadmin.certificates.bounded import BoundedReader
from mailadmin.certificates.intermediates import find_issuers_of
from mailadmin.certificates.known_keys import find_known_keys
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.trust import find_trusted_roots
from mailadmin.pki.bundle import Parts, Verdict, judge_bundle
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.offered import read_certificates

WRONG_PASSWORD_CODES = frozenset({"key.password_wrong", "pkcs12.password_wrong"})
PASSWORD_CODES = WRONG_PASSWORD_CODES | {"key.password_needed", "pkcs12.password_needed"}


def judge_upload(
    inputs: Sequence[bytes],
    *,
    now: datetime,
    password: str | None = None,
    written: Sequence[bytes] = (),
) -> Verdict:
    """Read the inputs and judge them; never raises for their content, and stores nothing.

    ``written`` is what the panel itself wrote of an earlier upload.
    """
    with BoundedReader() as reader:
        parts = reader.read_parts(inputs, password or None, written=written)
        return judge_parts(parts, reader, now=now)


def judge_parts(parts: Parts, reader: BoundedReader, *, now: datetime) -> Verdict:
    """Judge what the same reader has read; see :func:`judge_upload`."""
    parts = add_stored_certificate(parts)
    certificates = parts.certificates
    key_ids = {facts.public_key_id for facts in certificates}
    verdict = reader.judge_bundle(
        parts,
        now=now,
        known_key_ids=selectors.find_key_ids(key_ids),
        key_ids_elsewhere=selectors.find_key_ids_elsewhere(key_ids),
        known_intermediates=_find_intermediates(certificates),
        roots=find_trusted_roots(),
        known_keys=find_known_keys(),
    )
    return add_answer(verdict)


def judge_stored(certificate: Certificate, now: datetime) -> Verdict:
    """Judge a certificate as it is stored: nothing is added to its chain, and its key is taken
    as being where it belongs.

    Here and not in a child, unlike an upload: what is stored was judged by a child within its two
    seconds, or is what the daemons of the mail host serve already. It holds no password, and pages
    ask for this at every look, where starting a child would cost most of their time.
    """
    stored = read_stored(certificate)
    return judge_bundle(
        Parts(certificates=stored),
        now=now,
        known_key_ids={stored[0].public_key_id},
        roots=find_trusted_roots(),
        known_keys=find_known_keys(),
    )


def judge_completed(certificate: Certificate, issuer: CertificateFacts, now: datetime) -> Verdict:
    """Judge a stored certificate with an issuer that its chain lacked, and what else is known."""
    certificates = (*read_stored(certificate), issuer)
    return judge_bundle(
        Parts(certificates=certificates),
        now=now,
        known_key_ids={certificates[0].public_key_id},
        known_intermediates=_find_intermediates(certificates),
        roots=find_trusted_roots(),
        known_keys=find_known_keys(),
    )


def _find_intermediates(certificates: Sequence[CertificateFacts]) -> list[CertificateFacts]:
    """Return intermediates that came with other certificates of the same issuers, and well-known
    ones.
    """
    chains = dict.fromkeys(selectors.find_chains_of(facts.issuer for facts in certificates))
    found = [facts for chain in chains for facts in read_certificates(chain.encode())]
    found += find_issuers_of([*certificates, *found])
    return list({facts.fingerprint: facts for facts in found}.values())
