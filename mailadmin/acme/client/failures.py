"""Why an authority could not be asked, or what it answered instead of what was wanted.

What the authority itself says is explained by :mod:`mailadmin.issuance.problem_documents`. The
codes below are for all that never got as far; each has ``host`` unless it says otherwise.

==================  ============================================================
code                params
==================  ============================================================
ca.url_invalid      url (no host)
ca.name_unknown
ca.address_refused  address
ca.unreachable      detail
ca.timed_out        seconds
ca.untrusted        detail
ca.tls_failed       detail
ca.bad_answer
ca.too_large        limit (KiB)
ca.redirected       target
ca.not_acme         status, content_type
ca.refused          status
ca.busy             status
ca.busy_until       status, seconds
ca.nonces_refused   times
ca.bundle_invalid   (no host)
ca.eab_key_invalid  (no host)
ca.key_unusable     (no host)
ca.key_taken        (no host)
ca.csr_unreadable   (no host)
ca.not_offered      what (no host)
==================  ============================================================
"""

from __future__ import annotations

from http import HTTPStatus

from mailadmin.pki.problems import Problem


class AcmeFailure(Exception):  # noqa: N818 - the word is shared with Problem
    """What the authority was asked for did not happen; ``problem`` says why.

    ``retry_after``: seconds after which the authority wants to be asked again, if it said so.
    ``kind``: the type of its problem document without the prefix; empty if there was none.
    ``status``: the HTTP status of its answer; 0 if there was none.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        retry_after: float | None = None,
        kind: str = "",
        status: int = 0,
    ) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.retry_after = retry_after
        self.status = status
        self.kind = kind

    @property
    def is_account_lost(self) -> bool:
        """Tell whether the authority does not know the account (any more)."""
        return self.kind == "accountDoesNotExist"

    @property
    def is_gone(self) -> bool:
        """Tell whether there is nothing (any more) at the URL that was asked for."""
        return self.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}

    @property
    def is_key_taken(self) -> bool:
        """Tell whether another account has the key that this one was to get."""
        return self.problem.code == "ca.key_taken"

    @property
    def is_already_replaced(self) -> bool:
        """Tell whether another order replaced the certificate before (RFC 9773, section 5)."""
        return self.kind == "alreadyReplaced"
