"""Who does something: the person, where the request came from, and its id."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.http import HttpRequest

from mailadmin.audit.request_id import current_request_id

Origin = Literal["web", "cli", "system"]
NOBODY = "anonymous"
_LONGEST_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who acts. Every service takes one, so that no change is without an author."""

    user_id: int | None
    name: str
    origin: Origin
    address: str = ""
    user_agent: str = ""
    request_id: str = ""

    @classmethod
    def from_request(cls, request: HttpRequest) -> Actor:
        """Return the person who is logged in, with the address and browser of the request."""
        user = request.user
        return cls(
            user_id=user.pk if user.is_authenticated else None,
            name=user.get_username() if user.is_authenticated else NOBODY,
            origin="web",
            address=client_address(request),
            user_agent=request.headers.get("User-Agent", "")[:_LONGEST_USER_AGENT],
            request_id=current_request_id(),
        )

    @classmethod
    def command_line(cls) -> Actor:
        """Return the login name of the shell user who runs the command."""
        return cls(user_id=None, name=_shell_user(), origin="cli", request_id=current_request_id())

    @classmethod
    def system(cls, name: str) -> Actor:
        """Return the panel itself, acting on its own as ``name`` (``beat``, ``worker``)."""
        return cls(user_id=None, name=name, origin="system", request_id=current_request_id())


def client_address(request: HttpRequest) -> str:
    """Return the address of the browser, as told by the last proxy that we trust.

    A client can write anything into ``X-Forwarded-For``; only the entries that our own
    proxies appended (``TRUSTED_PROXY_COUNT`` of them, at the end) can be believed.
    """
    proxies: int = settings.TRUSTED_PROXY_COUNT
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if 0 < proxies <= len(forwarded) and forwarded[-proxies]:
        return forwarded[-proxies][:64]
    return str(request.META.get("REMOTE_ADDR", ""))[:64]


def _shell_user() -> str:
    """Return the login name; a container may have no entry for its user id."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
