"""The three ways to answer an authority on port 80 (RFC 8555, section 8.3), behind one protocol.

*Agent*: the agent of the mail host listens while it is needed, or writes a file where a web server
has the port. *Web root*: the agent writes a file in any case. *Panel*: the panel answers itself,
for names whose port 80 leads to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from django.core.cache import cache

from mailadmin.acme.models import AcmeAuthorization, AcmeCertificate, AcmeOrder
from mailadmin.agent.protocol import AgentError, ChallengeWay
from mailadmin.deployments import runner
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer

HTTP_01 = AcmeCertificate.Challenge.HTTP_01
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


class ChallengeFailure(Exception):  # noqa: N818 - what failed is the answer, not the program
    """An answer cannot be published or taken back; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Way(Protocol):
    """Publishes key authorizations where an authority will ask for them."""

    def present(self, token: str, key_authorization: str, seconds: int) -> None:
        """Publish, for this long if nobody withdraws it. May be repeated.

        Raises :class:`ChallengeFailure`; then nothing was published.
        """

    def withdraw(self, token: str) -> None:
        """Publish no longer; one that is not published is no mistake.

        Raises :class:`ChallengeFailure`.
        """


@dataclass(frozen=True, slots=True)
class AgentWay:
    """The agent of a mail host answers; ``insists_on`` one way, or takes the one it has."""

    server: MailServer | None
    insists_on: ChallengeWay | None = None

    def present(self, token: str, key_authorization: str, seconds: int) -> None:
        """Publish through the agent."""
        try:
            runner.present_challenge(
                self.server, token, key_authorization, seconds=seconds, way=self.insists_on
            )
        except AgentError as error:
            raise ChallengeFailure(error.problem) from None

    def withdraw(self, token: str) -> None:
        """Take it back through the agent."""
        try:
            runner.withdraw_challenge(self.server, token)
        except AgentError as error:
            raise ChallengeFailure(error.problem) from None


@dataclass(frozen=True, slots=True)
class PanelWay:
    """The panel answers from the rows of its orders, for as long as the order is under way.

    What no order asked for is a look before one; the cache, which all processes see, keeps that.
    """

    def present(self, token: str, key_authorization: str, seconds: int) -> None:
        """Write down what the panel's own address answers."""
        rows = AcmeAuthorization.objects.filter(token=token, challenge=HTTP_01)
        if not rows.update(record_value=key_authorization, is_cleaned_up=False):
            cache.set(_looked_for(token), key_authorization, seconds)

    def withdraw(self, token: str) -> None:
        """Let it be not found."""
        AcmeAuthorization.objects.filter(token=token, challenge=HTTP_01).update(record_value="")
        cache.delete(_looked_for(token))


def find_way(wanted: AcmeCertificate) -> Way:
    """Return how the names of a certificate are answered for."""
    match wanted.http_way:
        case AcmeCertificate.HttpWay.PANEL:
            return PanelWay()
        case AcmeCertificate.HttpWay.WEB_ROOT:
            return AgentWay(wanted.server, ChallengeWay.WEB_ROOT)
        case _:
            return AgentWay(wanted.server)


def find_key_authorization(token: str) -> str | None:
    """Return what the panel answers for a token: presented, not withdrawn, order under way."""
    if not _TOKEN.fullmatch(token):
        return None
    rows = AcmeAuthorization.objects.filter(
        token=token, challenge=HTTP_01, is_cleaned_up=False
    ).exclude(order__status__in=AcmeOrder.FINISHED)
    found = rows.exclude(record_value="").values_list("record_value", flat=True).first()
    return found or cache.get(_looked_for(token))


def _looked_for(token: str) -> str:
    return f"acme-look:{token}"
