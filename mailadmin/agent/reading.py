"""What a request holds, read with suspicion: JSON carries anything."""

from __future__ import annotations

import re

from mailadmin.agent.protocol import AgentError, Request
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.rules import is_address
from mailadmin.mailconf.services import SERVICES
from mailadmin.mailconf.state import DesiredState, StateError
from mailadmin.pki.keys import KeyAlgorithm
from mailadmin.pki.names import is_usable_san

LONGEST_TRIAL = 3600
_MOST_DAYS = 366
_MOST_EXPECTATIONS = 10_000
_MOST_NAMES = 1000
_FINGERPRINT = re.compile("[0-9a-f]{64}")


def read_state(request: Request) -> DesiredState:
    """Return the state that is wanted. Raises :class:`AgentError`."""
    value = request.params.get("state")
    if not isinstance(value, dict):
        raise AgentError.because("agent.message_unreadable")
    try:
        return DesiredState.from_dict(value)
    except StateError as error:
        raise AgentError.because("agent.state_unreadable", detail=str(error)) from None


def read_expectations(request: Request) -> list[Expectation]:
    """Return which ports are to be looked at. Raises :class:`AgentError`."""
    rows = request.params.get("expected")
    if not isinstance(rows, list) or len(rows) > _MOST_EXPECTATIONS:
        raise AgentError.because("agent.message_unreadable")
    try:
        expected = [Expectation.from_dict(row) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise AgentError.because("agent.message_unreadable") from None
    if not all(_can_be_asked(item) for item in expected):
        raise AgentError.because("agent.message_unreadable")
    return expected


def read_names(request: Request) -> list[str]:
    """Return the host names that are to be asked for. Raises :class:`AgentError`."""
    names = request.params.get("names")
    if not isinstance(names, list) or len(names) > _MOST_NAMES:
        raise AgentError.because("agent.message_unreadable")
    if not all(isinstance(name, str) and is_usable_san(name) for name in names):
        raise AgentError.because("agent.message_unreadable")
    return names


def read_fingerprints(request: Request) -> list[str]:
    """Return of which certificates (SHA-256, hexadecimal). Raises :class:`AgentError`."""
    asked = request.params.get("fingerprints")
    if not isinstance(asked, list) or len(asked) > _MOST_NAMES:
        raise AgentError.because("agent.message_unreadable")
    if not all(isinstance(item, str) and _FINGERPRINT.fullmatch(item) for item in asked):
        raise AgentError.because("agent.message_unreadable")
    return asked


def _can_be_asked(item: Expectation) -> bool:
    """Tell whether the parts are of the types they claim: JSON carries anything."""
    texts = (item.service, item.address, item.sni_name, item.key_algorithm)
    is_text = all(isinstance(text, str) for text in texts)
    is_port = isinstance(item.port, int) and 0 < item.port < 65536
    if not (is_text and is_port and item.key_algorithm in {"", *KeyAlgorithm}):
        return False
    return item.service in SERVICES and is_address(item.address)


def read_days(request: Request) -> int:
    """Return of how many days is asked. Raises :class:`AgentError`."""
    days = request.params.get("days")
    if not isinstance(days, int) or isinstance(days, bool) or not 0 < days <= _MOST_DAYS:
        raise AgentError.because("agent.message_unreadable")
    return days


def read_deployment_id(request: Request) -> str:
    """Return which deployment is meant; it becomes the name of a file. Raises AgentError."""
    deployment_id = read_text(request, "deployment_id")
    if not deployment_id.replace("-", "").isalnum() or len(deployment_id) > 64:
        raise AgentError.because("agent.message_unreadable")
    return deployment_id


def read_confirm_within(request: Request, shortest: int) -> int | None:
    """Return the seconds in which it must be confirmed; None: it stays. Raises AgentError."""
    seconds = request.params.get("confirm_within")
    if seconds is None:
        return None
    if type(seconds) is not int or not shortest <= seconds <= LONGEST_TRIAL:
        raise AgentError.because("agent.message_unreadable")
    return seconds


def read_text(request: Request, name: str) -> str:
    """Return a text of that name. Raises :class:`AgentError`."""
    value = request.params.get(name)
    if not isinstance(value, str):
        raise AgentError.because("agent.message_unreadable")
    return value
