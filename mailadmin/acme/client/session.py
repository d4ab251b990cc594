"""Signed requests and their answers: nonces, problem documents, and when to ask again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from josepy import errors, json_util

from mailadmin.acme.client.failures import AcmeFailure
from mailadmin.acme.client.signing import AccountKey
from mailadmin.acme.client.transport import Answer, Transport
from mailadmin.issuance.problem_documents import explain, read_kind
from mailadmin.pki.problems import Param, Problem

# An authority may refuse a nonce for no fault of ours (RFC 8555, section 6.5); but not for ever.
_MOST_NONCES = 20
_NONCES_KEPT = 10
_LONGEST_WAIT = 366 * 86400.0  # seconds; whoever says more than a year means nothing by it
_BUSY = frozenset({429, 503})
_JSON = "application/json"
_PROBLEM = "application/problem+json"


class Session:
    """What is sent to one authority, in the name of one account once its URL is known."""

    def __init__(self, transport: Transport, key: AccountKey) -> None:
        self.key = key
        self.account_url = ""
        self.new_nonce_url = ""
        self._transport = transport
        self._nonces: list[bytes] = []

    def get(self, url: str) -> Answer:
        """Ask without a signature. Raises :class:`AcmeFailure` unless the answer is good."""
        answer = self._transport.get(url)
        _refuse_bad(answer)
        return answer

    def ask(self, url: str, accept: str = _JSON) -> Answer:
        """Ask for a resource by POST-as-GET (RFC 8555, section 6.3)."""
        return self._post(url, b"", accept=accept)

    def post(self, url: str, content: Mapping[str, object]) -> Answer:
        """Send JSON in the name of the account."""
        return self._post(url, json.dumps(content).encode("ascii"))

    def post_signed(self, url: str, payload: bytes) -> Answer:
        """Send a payload that is signed already (section 7.3.5)."""
        return self._post(url, payload)

    def post_without_account(
        self, url: str, content: Mapping[str, object], key: AccountKey
    ) -> Answer:
        """Send JSON signed with nothing but this key, as for a new account."""
        return self._post(url, json.dumps(content).encode("ascii"), stranger=key)

    def _post(
        self, url: str, payload: bytes, *, stranger: AccountKey | None = None, accept: str = _JSON
    ) -> Answer:
        """Send, with another nonce as often as one is refused.

        ``stranger`` is a key that signs instead of the account's, and without naming the account.
        """
        key, account_url = (stranger, "") if stranger else (self.key, self.account_url)
        headers = {"Content-Type": "application/jose+json", "Accept": f"{accept}, {_PROBLEM}"}
        for _ in range(_MOST_NONCES):
            nonce = self._nonces.pop() if self._nonces else self._fetch_nonce()
            body = key.sign(payload, url=url, nonce=nonce, account_url=account_url)
            answer = self._transport.post(url, body, headers)
            self._keep_nonce(answer)
            try:
                _refuse_bad(answer)
            except AcmeFailure as failure:
                if failure.kind != "badNonce":
                    raise
            else:
                return answer
        raise failed(answer, "nonces_refused", times=_MOST_NONCES)

    def _fetch_nonce(self) -> bytes:
        answer = self._transport.head(self.new_nonce_url)
        _refuse_bad(answer)
        self._keep_nonce(answer)
        if not self._nonces:
            raise not_acme(answer)
        return self._nonces.pop()

    def _keep_nonce(self, answer: Answer) -> None:
        """Keep the nonce of an answer; what is not base64url is none (section 6.5.1)."""
        text = answer.header("Replay-Nonce")
        try:
            nonce = json_util.decode_b64jose(text)
        except errors.DeserializationError:
            return
        if nonce:
            self._nonces = [*self._nonces[1 - _NONCES_KEPT :], nonce]


def read_json(answer: Answer) -> dict[str, object]:
    """Return the JSON object of an answer. Raises :class:`AcmeFailure` when it is none."""
    found = _json_object(answer)
    if found is None:
        raise not_acme(answer)
    return found


def read_retry_after(answer: Answer) -> float | None:
    """Return the seconds an answer asks to wait: given as such or as a date (RFC 9110, 10.2.3)."""
    text = answer.header("Retry-After")
    if text.isascii() and text.isdecimal():
        seconds = float(text[:10])
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def failed(answer: Answer, code: str, **params: Param) -> AcmeFailure:
    """Return the failure for an answer that is not what it should be."""
    problem = Problem(f"ca.{code}", params={"host": answer.host, **params})
    return AcmeFailure(problem, retry_after=read_retry_after(answer), status=answer.status)


def not_acme(answer: Answer) -> AcmeFailure:
    """Return the failure for an answer that no ACME server gives."""
    content_type = answer.header("Content-Type")[:80]
    return failed(answer, "not_acme", status=answer.status, content_type=content_type)


def _refuse_bad(answer: Answer) -> None:
    if answer.is_good:
        return
    wait = read_retry_after(answer)
    document = _json_object(answer) or {}
    kind = read_kind(document)
    if kind:
        retry_at = datetime.now(UTC) + timedelta(seconds=wait) if wait is not None else None
        problem = explain(document, retry_at=retry_at)
        raise AcmeFailure(problem, retry_after=wait, kind=kind, status=answer.status)
    if answer.status in _BUSY and wait:
        raise failed(answer, "busy_until", status=answer.status, seconds=round(wait))
    if answer.status in _BUSY:
        raise failed(answer, "busy", status=answer.status)
    raise failed(answer, "refused", status=answer.status)


def _json_object(answer: Answer) -> dict[str, object] | None:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
