"""Certificates made ready for this host: each leaf with the key that fits it, wherever that is."""

from __future__ import annotations

from dataclasses import replace

from mailadmin.agent.host import Found, Host
from mailadmin.mailconf.adopting.keeping import Remaining
from mailadmin.mailconf.state import (
    CertificateMaterial,
    DesiredState,
)
from mailadmin.pki.bundle import Parts, read_parts
from mailadmin.pki.certificate import CertificateProblem, read_certificate
from mailadmin.pki.keys import (
    KeyProblem,
    algorithm_of,
    load_private_key,
    private_key_to_pem,
    public_key_id,
)
from mailadmin.pki.problems import Param, Problem, has_errors


def complete_material(
    state: DesiredState, host: Host, found: Found, remaining: Remaining
) -> tuple[DesiredState, list[Problem]]:
    """Check every key against its leaf, and find on the host the keys that never leave it.

    What the host's own files serve stays in them and needs no key.
    """
    problems: list[Problem] = []
    completed: list[CertificateMaterial] = []
    on_host: dict[str, str] | None = None
    written = {item for part in remaining.parts for item in part.used_fingerprints}
    for certificate in state.certificates:
        if certificate.fingerprint not in state.used_fingerprints:
            continue
        if certificate.fingerprint not in written:
            completed.append(certificate)
            continue
        if not certificate.key_pem and on_host is None:
            on_host = read_host_keys(host, found)
        done, wrong = with_key(certificate, on_host or {})
        completed.append(done)
        problems += wrong
    return state.with_certificates(completed), problems


def with_key(
    certificate: CertificateMaterial, on_host: dict[str, str]
) -> tuple[CertificateMaterial, list[Problem]]:
    """Return the certificate with its key, or what is wrong with the two.

    Neither daemon's checks see a wrong pair: it would cut TLS off at the next handshake. What the
    rules judge (names, dates) is read from the leaf, not taken from whoever asks.
    """
    about: dict[str, Param] = {"label": certificate.label}

    def refuse(code: str) -> tuple[CertificateMaterial, list[Problem]]:
        return certificate, [Problem(code, subject=certificate.fingerprint, params=about)]

    try:
        leaf = read_certificate(certificate.leaf_pem.encode())
    except CertificateProblem:
        return refuse("material.leaf_unreadable")
    if leaf.fingerprint != certificate.fingerprint:
        return refuse("material.other_leaf")
    key_pem = certificate.key_pem or on_host.get(leaf.public_key_id, "")
    if not key_pem:
        return refuse("material.key_missing")
    if _key_id(key_pem) != leaf.public_key_id:
        return refuse("material.key_mismatch")
    chain = read_host_file(certificate.chain_pem.encode())
    if certificate.chain_pem.strip() and (not chain.certificates or has_errors(chain.problems)):
        return refuse("material.chain_unreadable")
    facts = replace(
        certificate,
        names=leaf.names,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        key_algorithm=str(algorithm_of(leaf.key) or ""),
        key_pem=key_pem,
    )
    return facts, []


def host_keys_of(asked: DesiredState, completed: DesiredState) -> dict[str, str]:
    """Return the keys that were asked for without one and found on the host, by public key."""
    found: dict[str, str] = {}
    for certificate in completed.certificates:
        before = asked.certificate(certificate.fingerprint)
        if certificate.key_pem and before is not None and not before.key_pem:
            found[_key_id(certificate.key_pem)] = certificate.key_pem
    return found


def read_host_keys(host: Host, found: Found) -> dict[str, str]:
    """Return the keys in the files the daemons use, by public key; they leave the host
    only where an administrator agreed (:mod:`mailadmin.agent.handing_over`)."""
    keys: dict[str, str] = {}
    for content in host.read_pem_files(found).values():
        for key in read_host_file(content).private_keys:
            keys[public_key_id(key)] = private_key_to_pem(key).decode()
    return keys


def read_host_file(content: bytes) -> Parts:
    """Read certificates and keys as Postfix and Dovecot do: they take no PKCS#12.

    Its author chooses how many rounds opening it takes, and the agent serves one caller at a time.
    """
    return read_parts([content], takes_pkcs12=False)


def _key_id(key_pem: str) -> str:
    try:
        return public_key_id(load_private_key(key_pem.encode()))
    except KeyProblem:
        return ""
