"""Which PEM file serves whom: the same names for every generation of files.

A name stands for a role (``default``, ``imap``, ``sni-mail.example.org``), not for a certificate,
so that a renewal changes no configuration file and Dovecot needs no reload for it. Beside it lies
the companion's file, where the certificate has one: ``default_alt.pem``. No host name has an
underscore, so ``sni-mail.example.org_alt.pem`` is nobody else's file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, ListenerState

DEFAULT = "default.pem"
SNI_MAP = "sni.map"
MANIFEST = "certificates.txt"
_SUFFIX = ".pem"
_BESIDE = "_alt.pem"
_FOR_NAME = "sni-"


def name_file(host_name: str) -> str:
    """Return the PEM file for clients that ask for this host name."""
    return f"{_FOR_NAME}{host_name}{_SUFFIX}"


def host_name_of(name: str) -> str:
    """Return the host name that a PEM file is for, be it a companion's; empty for the others."""
    first = first_of(name)
    return (
        first.removeprefix(_FOR_NAME).removesuffix(_SUFFIX) if first.startswith(_FOR_NAME) else ""
    )


def beside(name: str) -> str:
    """Return the companion's file for a PEM file of this name."""
    return name.removesuffix(_SUFFIX) + _BESIDE


def first_of(name: str) -> str:
    """Return the file that this one lies beside; a file that is no companion's is its own."""
    return name.removesuffix(_BESIDE) + _SUFFIX if name.endswith(_BESIDE) else name


def pair_files(state: DesiredState, name: str, fingerprint: str) -> Mapping[str, str]:
    """Return the file of this name and its companion's, if there is one, with their leaves."""
    return dict(zip((name, beside(name)), state.pair_of(fingerprint), strict=False))


def own_certificate_file(state: DesiredState, listener: ListenerState) -> str:
    """Return the PEM file of a listener with a certificate of its own; empty for the default.

    Dovecot chooses by protocol: both IMAP ports share ``imap.pem``.
    """
    fingerprint = state.certificate_for(listener)
    if not listener.is_enabled or not listener.is_encrypted or not fingerprint:
        return ""
    if state.is_same_pair(fingerprint, state.default_certificate):
        return ""
    definition = listener.definition
    is_postfix = definition.daemon is Daemon.POSTFIX
    return f"{listener.service if is_postfix else definition.protocol}{_SUFFIX}"


def certificate_files(state: DesiredState) -> Mapping[str, str]:
    """Return every PEM file of a generation and the fingerprint of the leaf in it."""
    firsts: dict[str, str] = {}
    if state.default_certificate:
        firsts[DEFAULT] = state.default_certificate
    for listener in state.listeners:
        name = own_certificate_file(state, listener)
        if name:
            firsts[name] = state.certificate_for(listener)
    for binding in state.sni_bindings:
        firsts[name_file(binding.host_name)] = binding.certificate
    files: dict[str, str] = {}
    for name, fingerprint in firsts.items():
        files |= pair_files(state, name, fingerprint)
    return files


def sni_map(state: DesiredState, folder: str) -> str:
    """Return the source of Postfix's ``tls_server_sni_maps``; the files lie in ``folder``.

    ``postmap -F`` copies the files' contents into the compiled map, keys included: whoever writes
    it must keep both unreadable for others first.
    """
    lines: list[str] = []
    for binding in sorted(state.sni_bindings, key=lambda item: item.host_name):
        files = pair_files(state, name_file(binding.host_name), binding.certificate)
        lines.append(" ".join((binding.host_name, *(f"{folder}/{name}" for name in files))))
    return "".join(f"{line}\n" for line in lines)


def chain_file(certificate: CertificateMaterial) -> str:
    """Return one PEM: key, leaf, chain; the order that Postfix's TLS_README asks for."""
    parts = (certificate.key_pem, certificate.leaf_pem, certificate.chain_pem)
    return "".join(part.strip() + "\n" for part in parts if part.strip())


def manifest(state: DesiredState) -> str:
    """Return what a reader of the diff should see of the PEM files: no key, one fact a line."""
    return manifest_of(state, certificate_files(state))


def manifest_of(state: DesiredState, files: Mapping[str, str]) -> str:
    """Return the manifest of these files, given with the leaf in each, of the state."""
    blocks: list[str] = []
    for name, fingerprint in sorted(files.items()):
        certificate = state.certificate(fingerprint)
        lines = [name, f"  leaf SHA-256  {fingerprint}"]
        if certificate and certificate.companion:
            lines.append(f"  key           {certificate.key_algorithm.upper()}")
        if first_of(name) != name:
            lines.append(f"  beside        {first_of(name)}")
        if certificate:
            # A certificate can hold thousands of names; the diff stays legible.
            shown = ", ".join(map(_printable, certificate.names[:20]))
            hidden = len(certificate.names) - 20
            lines.append(f"  names         {shown}" + (f" and {hidden} more" * (hidden > 0)))
            lines.append(f"  valid until   {certificate.not_after:%Y-%m-%d %H:%M} UTC")
            lines.append(f"  chain         {_chain_words(certificate.chain_pem)}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def paragraphs(manifest: str) -> dict[str, str]:
    """Return the paragraphs of a manifest by the file they are about."""
    blocks = [block.strip() for block in manifest.split("\n\n")]
    return {block.partition("\n")[0]: block for block in blocks if block}


def _printable(name: str) -> str:
    """Return the name, with escapes for what would break the line or cannot be encoded."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def _chain_words(chain_pem: str) -> str:
    """Return how many certificates stand above the leaf, and which, in short."""
    count = chain_pem.count("BEGIN CERTIFICATE")
    digest = hashlib.sha256(chain_pem.strip().encode()).hexdigest()
    return f"{count} above it, SHA-256 {digest[:16]}" if count else "none"
