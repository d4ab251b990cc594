"""The chains an authority offers for one certificate (RFC 8555, section 7.4.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mailadmin.acme.client.session import not_acme
from mailadmin.acme.client.transport import Answer

_MOST_CERTIFICATES = 10  # of one chain
_MOST_ALTERNATES = 5
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[^\s;,="]+\s*=\s*(?:"[^"]*"|[^",;\s]*))*)')
_ALTERNATE = re.compile(r';\s*rel\s*=\s*"?alternate"?', re.IGNORECASE)

Chain = Sequence[x509.Certificate]


def choose_chain(usual: Answer, root: str, ask: Callable[[str], Answer]) -> str:
    """Return the chain that leads to a root of this common name as PEM, else the usual one.

    ``ask`` gets the other ones. Raises :class:`AcmeFailure` when what came is no chain.
    """
    chain = read_chain(usual)
    if not root or _leads_to(chain, root):
        return _as_pem(chain)
    for url in alternate_urls(usual):
        other = read_chain(ask(url))
        if _leads_to(other, root):
            return _as_pem(other)
    return _as_pem(chain)


def read_chain(answer: Answer) -> Chain:
    """Read the certificates of an answer, the leaf first."""
    try:
        chain = x509.load_pem_x509_certificates(answer.body)
    except ValueError:
        raise not_acme(answer) from None
    if len(chain) > _MOST_CERTIFICATES:
        raise not_acme(answer)
    return chain


def alternate_urls(answer: Answer) -> Iterator[str]:
    """Return where the other chains are (RFC 8288)."""
    text = ", ".join(str(value) for value in answer.headers.get_all("Link", []))
    links = [url for url, params in _LINK.findall(text) if _ALTERNATE.search(params)]
    yield from links[:_MOST_ALTERNATES]


def _leads_to(chain: Chain, root: str) -> bool:
    names = chain[-1].issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(str(name.value).casefold() == root.casefold() for name in names)


def _as_pem(chain: Chain) -> str:
    return b"".join(item.public_bytes(Encoding.PEM) for item in chain).decode("ascii")
