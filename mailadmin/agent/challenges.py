"""Which answers to HTTP-01 are published now, by whom, and until when.

The panel names a token and its key authorization; both are of a fixed form (RFC 8555, section
8.1), so it cannot make the agent publish anything else. Where they are published is said by the
agent's own configuration.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mailadmin.agent.answering import AnsweringListener, open_sockets
from mailadmin.agent.config import Http01Config
from mailadmin.agent.host.web_root import WebRoot, remove_leftovers
from mailadmin.agent.protocol import AgentError, ChallengeWay

logger = logging.getLogger(__name__)

MOST_SECONDS = 3600
MOST_CHALLENGES = 500
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
# A SHA-256 in base64url: the last of its 43 characters has two bits to spare, which are 0.
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the panel asks to have answered. ``way`` is set if only that one is meant."""

    token: str
    key_authorization: str
    seconds: int
    way: ChallengeWay | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read what was asked. Raises :class:`AgentError`."""
        token, seconds = read_token(params), params.get("seconds")
        if type(seconds) is not int or not 0 < seconds <= MOST_SECONDS:
            raise AgentError.because("agent.message_unreadable")
        prefix, _, thumbprint = str(params.get("key_authorization")).partition(".")
        if prefix != token or not _THUMBPRINT.fullmatch(thumbprint):
            raise AgentError.because("http01.answer_refused")
        return cls(token, f"{token}.{thumbprint}", seconds, _read_way(params))


def read_token(params: Mapping[str, Any]) -> str:
    """Return the token that was named. Raises :class:`AgentError`."""
    token = params.get("token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise AgentError.because("http01.answer_refused")
    return token


def _read_way(params: Mapping[str, Any]) -> ChallengeWay | None:
    try:
        return ChallengeWay(params["way"]) if params.get("way") else None
    except ValueError:
        raise AgentError.because("agent.message_unreadable") from None


@dataclass(frozen=True, slots=True)
class _Published:
    """A key authorization, and when it is published no longer (``time.monotonic``)."""

    key_authorization: str
    until: float


class Challenges:
    """Publishes and takes back. ``note`` is where files in a web root are remembered."""

    def __init__(self, config: Http01Config, note: Path) -> None:
        self._config = config
        self._note = note
        self._web_root = WebRoot(config.web_root, note) if config.web_root else None
        self._published: dict[str, _Published] = {}
        self._changed = threading.Condition()
        self._listener: AnsweringListener | None = None
        self._watch: threading.Thread | None = None

    def prepare(self) -> None:
        """Remove what a dead agent left behind."""
        remove_leftovers(self._note)

    def release(self) -> None:
        """Take back everything: the agent ends."""
        with self._changed:
            for token in list(self._published):
                self._take_back(token)
            self._changed.notify_all()

    def present(self, challenge: Challenge) -> ChallengeWay:
        """Publish until it is withdrawn, or its time is over. Raises :class:`AgentError`."""
        token, until = challenge.token, time.monotonic() + challenge.seconds
        with self._changed:
            if token not in self._published and len(self._published) >= MOST_CHALLENGES:
                raise AgentError.because("http01.too_many", limit=MOST_CHALLENGES)
            way = self._publish(challenge)
            self._published[token] = _Published(challenge.key_authorization, until)
            if self._watch is None:
                self._watch = threading.Thread(target=self._keep_time, daemon=True)
                self._watch.start()
            self._changed.notify_all()
        return way

    def withdraw(self, token: str) -> None:
        """Publish it no longer; one that is not published is no mistake."""
        with self._changed:
            self._take_back(token)
            self._changed.notify_all()

    def describe(self) -> dict[str, Any]:
        """Return which way this host has, and what is in the way of the other."""
        problem = None
        try:
            with self._changed:
                if self._listener is None or not self._listener.is_answering:
                    for one in self._open_sockets():
                        one.close()
        except AgentError as error:
            problem = error.problem
        way = ChallengeWay.WEB_ROOT if self._web_root else None
        return {
            "way": str(ChallengeWay.LISTENER) if problem is None else str(way or ""),
            "port": self._config.port,
            "has_web_root": self._web_root is not None,
            "problem": problem.as_dict() if problem else None,
        }

    def _publish(self, challenge: Challenge) -> ChallengeWay:
        if challenge.way is ChallengeWay.WEB_ROOT:
            return self._write(challenge)
        try:
            self._listen()
        except AgentError:
            if challenge.way is ChallengeWay.LISTENER or self._web_root is None:
                raise
            return self._write(challenge)
        return ChallengeWay.LISTENER

    def _write(self, challenge: Challenge) -> ChallengeWay:
        if self._web_root is None:
            raise AgentError.because("http01.no_web_root")
        self._web_root.write(challenge.token, challenge.key_authorization)
        return ChallengeWay.WEB_ROOT

    def _listen(self) -> None:
        if self._listener is not None and self._listener.is_answering:
            return
        listener = AnsweringListener(self._open_sockets(), self._find)
        listener.start()
        self._listener = listener
        logger.info("answering challenges on port %s", self._config.port)

    def _open_sockets(self) -> list[socket.socket]:
        if not self._config.addresses:
            raise AgentError.because("http01.no_listener")
        return open_sockets(self._config.addresses, self._config.port)

    def _find(self, token: str) -> str | None:
        """Return what belongs to a token; without the lock, which may be held by who stops us."""
        found = self._published.get(token)
        return found.key_authorization if found and time.monotonic() < found.until else None

    def _take_back(self, token: str) -> None:
        self._published.pop(token, None)
        if self._web_root is not None:
            self._web_root.remove(token)
        if not self._published and self._listener is not None:
            self._listener.stop()
            self._listener = None
            logger.info("no challenge is left to answer")

    def _keep_time(self) -> None:
        """Take back what nobody withdrew in time; ends with the last one."""
        with self._changed:
            while self._published:
                now = time.monotonic()
                for token, item in list(self._published.items()):
                    if item.until <= now:
                        self._take_back(token)
                ends = [item.until for item in self._published.values()]
                if ends:
                    self._changed.wait(max(0.0, min(ends) - now))
            self._watch = None
