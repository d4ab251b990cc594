"""One authority, in the name of one account: what can be asked of it (RFC 8555, section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from josepy import b64

from mailadmin import __version__
from mailadmin.acme.client.chains import choose_chain
from mailadmin.acme.client.failures import AcmeFailure
from mailadmin.acme.client.resources import (
    AuthorizationState,
    Directory,
    OrderState,
    RenewalAnswer,
    read_authorization,
    read_directory,
    read_order,
    read_order_list,
    read_orders_url,
    read_renewal_answer,
)
from mailadmin.acme.client.session import Session, not_acme
from mailadmin.acme.client.signing import AccountKey
from mailadmin.acme.client.transport import Answer, Transport
from mailadmin.pki.names import parse_address
from mailadmin.pki.problems import Problem

_MOST_PAGES = 20  # of a list of orders
_CHAIN = "application/pem-certificate-chain"


class Authority:
    """Asks an authority; everything that does not work out is an :class:`AcmeFailure`.

    Nothing is asked before it is needed. ``key_pem`` is the account's key; ``account_url`` may
    come later, by :meth:`register` or :meth:`find_account`. ``ca_bundle`` is PEM of the roots that
    the directory's own certificate leads to; empty for the public ones.
    """

    def __init__(
        self, directory_url: str, *, key_pem: str, account_url: str = "", ca_bundle: str = ""
    ) -> None:
        self.directory_url = directory_url
        self._key = AccountKey(key_pem)
        self._transport = Transport(
            user_agent=f"mailadmin/{__version__}",
            ca_bundle=ca_bundle,
            is_private_allowed=settings.IS_PRIVATE_ACME_ALLOWED,
        )
        self._session = Session(self._transport, self._key)
        self._session.account_url = account_url
        self._directory: Directory | None = None
        self._finalize_urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # The authority itself

    def directory(self) -> Directory:
        """Return what the authority says of itself."""
        if self._directory is None:
            self._directory = read_directory(self._session.get(self.directory_url))
            self._session.new_nonce_url = self._directory.urls["newNonce"]
        return self._directory

    def renewal_info(self, certificate_id: str) -> RenewalAnswer | None:
        """Return when a certificate should be renewed; ``None`` if this authority never says.

        ``certificate_id`` as in RFC 9773, section 4.1. It is asked without an account.
        """
        directory = self.directory()
        if not directory.has_renewal_info:
            return None
        base = directory.urls["renewalInfo"].rstrip("/")
        return read_renewal_answer(self._session.get(f"{base}/{certificate_id}"))

    # The account

    @property
    def account_url(self) -> str:
        """The account's URL; empty if there is none yet."""
        return self._session.account_url

    @property
    def thumbprint(self) -> str:
        """The digest of the account's key, which every answer to a challenge contains."""
        return self._key.thumbprint

    def key_authorization(self, token: str) -> str:
        """Return what proves a challenge to be answered by this account (section 8.1)."""
        return self._key.authorize(token)

    def register(
        self, *, contact: str, agrees_to_terms: bool, eab: tuple[str, str] | None = None
    ) -> str:
        """Make an account and return its URL; one that the key has already is found.

        ``contact`` is a mail address or empty; ``eab`` the key id and the key (base64url) that
        the authority gave out elsewhere.
        """
        url = self._url("newAccount")
        wanted: dict[str, object] = {"contact": _contacts(contact)}
        if agrees_to_terms:
            wanted["termsOfServiceAgreed"] = True
        if eab is not None:
            wanted["externalAccountBinding"] = self._key.bind_external(*eab, url)
        answer = self._session.post_without_account(url, wanted, self._key)
        self._session.account_url = _location(answer)
        return self.account_url

    def find_account(self) -> str:
        """Return the URL of the key's account, or an empty text (section 7.3.1)."""
        found = self._find_account_of(self._key)
        if found:
            self._session.account_url = found
        return found

    def update_contact(self, contact: str) -> None:
        """Replace the account's mail address; an empty one removes it."""
        self._post(self.account_url, {"contact": _contacts(contact)})

    def roll_key(self, new_key_pem: str) -> None:
        """Hand the account over to another key, which signs from here on (section 7.3.5).

        Nothing is sent for a key that has the account already. One that has another is refused
        here with ``ca.key_taken``.
        """
        url = self._url("keyChange")
        successor = AccountKey(new_key_pem)
        # The authority has to refuse it, but Pebble 2.6 does not: the key then opens two accounts,
        # and asked for the key's own it names the other.
        owner = self._find_account_of(successor)
        if owner and owner != self.account_url:
            raise AcmeFailure(Problem("ca.key_taken"))
        if not owner:
            payload = self._key.sign_successor(successor, url=url, account_url=self.account_url)
            self._session.post_signed(url, payload)
        self._key = self._session.key = successor

    def deactivate(self) -> None:
        """Give the account up, for good (section 7.3.6)."""
        self._post(self.account_url, {"status": "deactivated"})

    # Orders

    def new_order(
        self, names: Sequence[str], *, profile: str = "", replaces: str = ""
    ) -> OrderState:
        """Order a certificate. ``replaces`` is the RFC 9773 identifier of the one before.

        An authority that has seen it replaced already is asked again without saying so.
        """
        wanted: dict[str, object] = {"identifiers": [_identifier(name) for name in names]}
        if profile:
            wanted["profile"] = profile
        if not replaces or not self.directory().has_renewal_info:
            return self._order(wanted)
        try:
            return self._order({**wanted, "replaces": replaces})
        except AcmeFailure as failure:
            if not failure.is_already_replaced:
                raise
        return replace(self._order(wanted), is_replacement_refused=True)

    def read_order(self, url: str) -> OrderState:
        """Look at an order."""
        return self._note(read_order(self._ask(url), url))

    def list_orders(self) -> tuple[str, ...]:
        """Return the URLs of the account's orders; none if the authority keeps no list of them."""
        following = read_orders_url(self._ask(self.account_url))
        found: list[str] = []
        for _ in range(_MOST_PAGES):
            if not following:
                break
            page, following = read_order_list(self._ask(following))
            found += page
        return tuple(found)

    def finalize(self, order_url: str, csr_pem: str) -> OrderState:
        """Hand in the request and return the order; one that had it already is only looked at."""
        csr = _read_csr(csr_pem)
        finalize_url = self._finalize_urls.get(order_url)
        if finalize_url is None:
            state = self.read_order(order_url)
            if state.status != "ready":
                return state
            finalize_url = state.finalize_url
        try:
            answer = self._post(finalize_url, {"csr": csr})
        except AcmeFailure as failure:
            if failure.kind != "orderNotReady":
                raise
            return self.read_order(order_url)
        return read_order(answer, order_url)

    def download(self, certificate_url: str, *, root: str = "") -> str:
        """Return the chain as PEM, the certificate itself first and no root.

        ``root``: the common name of the root that it should lead to; another chain that the
        authority offers is taken for it, and the usual one if none does.
        """
        return choose_chain(self._ask(certificate_url, _CHAIN), root, self._ask_for_chain)

    def revoke(self, certificate_pem: str, reason: int) -> None:
        """Revoke a certificate of this account (section 7.6); one that is revoked stays so.

        ``reason`` as in RFC 5280, section 5.3.1.
        """
        leaf = x509.load_pem_x509_certificate(certificate_pem.encode("ascii"))
        content = {"certificate": _base64(leaf.public_bytes(Encoding.DER)), "reason": reason}
        try:
            self._post(self._url("revokeCert"), content)
        except AcmeFailure as failure:
            if failure.kind != "alreadyRevoked":
                raise

    # Authorizations

    def read_authorization(self, url: str) -> AuthorizationState:
        """Look at the proof of a name."""
        return read_authorization(self._ask(url), url)

    def answer(self, challenge_url: str) -> None:
        """Tell the authority that the answer to a challenge is in place (section 7.5.1)."""
        self._post(challenge_url, {})

    def deactivate_authorization(self, url: str) -> None:
        """Give a proof up, so that it does not stay pending (section 7.5.2)."""
        self._post(url, {"status": "deactivated"})

    # On the way

    def _order(self, wanted: dict[str, object]) -> OrderState:
        answer = self._post(self._url("newOrder"), wanted)
        return self._note(read_order(answer, _location(answer)))

    def _note(self, state: OrderState) -> OrderState:
        self._finalize_urls[state.url] = state.finalize_url
        return state

    def _url(self, name: str) -> str:
        """Return where the authority does something. Raises if it does not."""
        url = self.directory().urls.get(name)
        if not url:
            problem = Problem("ca.not_offered", params={"what": name})
            raise AcmeFailure(problem)
        return url

    def _find_account_of(self, key: AccountKey) -> str:
        url = self._url("newAccount")
        try:
            answer = self._session.post_without_account(url, {"onlyReturnExisting": True}, key)
        except AcmeFailure as failure:
            if failure.is_account_lost:
                return ""
            raise
        return _location(answer)

    def _ask(self, url: str, accept: str = "application/json") -> Answer:
        self.directory()
        return self._session.ask(url, accept)

    def _ask_for_chain(self, url: str) -> Answer:
        return self._ask(url, _CHAIN)

    def _post(self, url: str, content: dict[str, object]) -> Answer:
        self.directory()
        return self._session.post(url, content)


def _contacts(contact: str) -> list[str]:
    return [f"mailto:{contact}"] if contact else []


def _identifier(name: str) -> dict[str, str]:
    """Return a name as RFC 8555, section 7.1.4, or RFC 8738 has it."""
    address = parse_address(name)
    return {"type": "ip", "value": str(address)} if address else {"type": "dns", "value": name}


def _location(answer: Answer) -> str:
    location = answer.header("Location")
    if not location:
        raise not_acme(answer)
    return location


def _read_csr(csr_pem: str) -> str:
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode("ascii"))
    except ValueError:
        raise AcmeFailure(Problem("ca.csr_unreadable")) from None
    return _base64(csr.public_bytes(Encoding.DER))


def _base64(content: bytes) -> str:
    return b64.b64encode(content).decode("ascii")
