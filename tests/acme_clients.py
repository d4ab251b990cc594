"""A client's side of ACME for the tests: keys, requests, and an order from end to end."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from mailadmin.acme.client import Authority, AuthorizationState, OrderState, poll
from mailadmin.issuance.challenges import record_name, txt_value
from mailadmin.pki.keys import KeyKind, generate_key, private_key_to_pem
from tests.authorities import RunningAuthority

PATIENCE = 60.0  # seconds


def draw_key_pem(kind: KeyKind = KeyKind.ECDSA_P256) -> str:
    return private_key_to_pem(generate_key(kind)).decode("ascii")


def make_csr(names: Sequence[str]) -> str:
    san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(san, False)
    signed = builder.sign(generate_key(KeyKind.ECDSA_P256), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode("ascii")


def connect(
    running: RunningAuthority, key_pem: str | None = None, account_url: str = ""
) -> Authority:
    """Return a client of a running authority, not registered unless there is an account."""
    return Authority(
        running.pebble.directory_url,
        key_pem=key_pem or draw_key_pem(),
        account_url=account_url,
        ca_bundle=running.pebble.root_pem,
    )


def registered(running: RunningAuthority, key_pem: str | None = None) -> Authority:
    """Return a client with an account."""
    client = connect(running, key_pem)
    client.register(contact="postmaster@example.org", agrees_to_terms=True)
    return client


def present(
    running: RunningAuthority, client: Authority, state: AuthorizationState, kind: str = "http-01"
) -> str:
    """Put the answer to a challenge in place and return the challenge's URL."""
    offer = next(offer for offer in state.offers if offer.kind == kind)
    proof = client.key_authorization(offer.token)
    if kind == "http-01":
        running.web.answers[offer.token] = proof
    else:
        running.dns.add_txt(record_name(state.name), txt_value(proof))
    return offer.url


def prove(
    running: RunningAuthority, client: Authority, order: OrderState, kind: str = "http-01"
) -> list[AuthorizationState]:
    """Prove all names of an order that are not proven yet; return how each ended."""
    for url in order.authorization_urls:
        state = client.read_authorization(url)
        if state.status == "pending":
            client.answer(present(running, client, state, kind))
    return [decided_authorization(client, url) for url in order.authorization_urls]


def decided_authorization(client: Authority, url: str) -> AuthorizationState:
    return poll(
        lambda: client.read_authorization(url),
        lambda state: state.status != "pending",
        at_most=PATIENCE,
    )


def decided_order(client: Authority, url: str) -> OrderState:
    return poll(
        lambda: client.read_order(url),
        lambda state: state.status in {"valid", "invalid"},
        at_most=PATIENCE,
    )


def issue(
    running: RunningAuthority,
    client: Authority,
    names: Sequence[str],
    *,
    kind: str = "http-01",
    root: str = "",
    replaces: str = "",
) -> list[x509.Certificate]:
    """Order, prove, finalize, download; return the chain."""
    order = client.new_order(names, replaces=replaces)
    prove(running, client, order, kind)
    client.finalize(order.url, make_csr(names))
    done = decided_order(client, order.url)
    assert done.status == "valid", done
    pem = client.download(done.certificate_url, root=root)
    return x509.load_pem_x509_certificates(pem.encode())


def names_of(certificate: x509.Certificate) -> list[str]:
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(san.get_values_for_type(x509.DNSName))
