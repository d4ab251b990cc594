"""What on the host forbids a plan, or must be told to whoever reviews it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from mailadmin.agent.drift import Drift
from mailadmin.agent.host import Found, Host, Rendered
from mailadmin.agent.host.files import to_bytes
from mailadmin.agent.host.ports import is_mail_program
from mailadmin.mailconf import dovecot, material
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import (
    ANY_ADDRESS,
    DesiredState,
    ListenerState,
)
from mailadmin.pki.problems import Problem, Severity


def find_missing_protocols(state: DesiredState, found: Found) -> list[Problem]:
    """Return the ports that are wanted of a protocol which Dovecot does not have here."""
    return [
        Problem(
            "dovecot.protocol_missing",
            subject=item.service,
            params={"protocol": str(item.definition.protocol)},
        )
        for item in state.enabled_listeners
        if item.definition.daemon is Daemon.DOVECOT
        and str(item.definition.protocol) not in found.dovecot.protocols
    ]


def find_host_problems(
    state: DesiredState,
    host: Host,
    found: Found,
    open_before: Sequence[ListenerState],
    kept_services: Collection[str],
) -> list[Problem]:
    """Return what on the machine forbids the change: a dead daemon, a port that is taken."""
    is_started = found.is_dropin_refused or found.is_front_dead
    problems = [
        Problem("daemon.down", subject=str(daemon))
        for daemon, is_running in host.running_daemons().items()
        if not is_running and not (daemon is Daemon.DOVECOT and is_started)
    ]
    if found.is_front_dead:
        problems.append(Problem("front.not_running", Severity.WARNING, "dovecot"))
    if found.is_dropin_refused:
        version = found.dovecot_version
        refused = Problem("dovecot.dropin_refused", Severity.WARNING, "dovecot", {"now": version})
        problems.append(refused)
    current = {(item.address, item.port) for item in open_before}
    for listener in state.enabled_listeners:
        is_kept = listener.service in kept_services
        if not is_kept and (listener.address, listener.port) not in current:
            problem = _port_problem(listener, host, found, open_before)
            problems += [problem] if problem else []
    return problems


def _port_problem(
    listener: ListenerState, host: Host, found: Found, open_before: Sequence[ListenerState]
) -> Problem | None:
    """Return why the daemon could not listen there; it would die of it (measured)."""
    is_postfix = listener.definition.daemon is Daemon.POSTFIX
    if is_postfix and not _has_family(found.inet_protocols, listener.address):
        params = {"address": listener.address, "inet_protocols": found.inet_protocols}
        return Problem("postfix.address_family_off", subject=listener.service, params=params)
    problem = host.port_problem(listener.service, listener.address, listener.port)
    is_listening = any(item.port == listener.port for item in open_before)
    if problem and is_listening and is_mail_program(str(problem.params.get("program"))):
        # By the very daemon that should listen: to stop it is no advice.
        return replace(problem, code="port.held_by_listener")
    return problem


def _has_family(inet_protocols: str, address: str) -> bool:
    family = "ipv6" if ":" in address else "ipv4"
    return address == ANY_ADDRESS or bool(
        {"all", family} & set(re.split(r"[\s,]+", inet_protocols))
    )


def find_session_problems(found: Found, rendered: Rendered) -> list[Problem]:
    """Warn where the one reload that sets ``shutdown_clients = no`` still ends sessions, and of
    the moment in which the ports go from one instance to another."""
    problems = []
    is_moved = (found.front.content is not None) != bool(rendered.dovecot.front)
    is_reload = dovecot.reload_part(found.dropin.text) != dovecot.reload_part(rendered.dropin)
    if (is_reload or is_moved) and not found.dovecot.is_reload_gentle:
        problems.append(Problem("dovecot.reload_ends_sessions", Severity.WARNING, "dovecot"))
    if is_moved:
        problems.append(Problem("front.price", Severity.WARNING, "dovecot"))
    return problems


def find_overwritten(
    drift: Drift, found: Found, rendered: Rendered, state: DesiredState
) -> list[Problem]:
    """Warn of each piece that somebody changed and that this plan would change again."""
    is_kept = {
        "main.cf": rendered.postfix.main_cf == found.main_cf.text,
        "master.cf": rendered.postfix.master_cf == found.master_cf.text,
    } | {
        file.path.name: to_bytes(text) == (file.content or b"")
        for file, text in zip(found.files[:3], rendered.texts[:3], strict=True)
    }
    for name, fingerprint in material.certificate_files(state).items():
        piece = drift.drifted.get(name)
        certificate = piece.certificate if piece else None
        is_kept[name] = certificate is not None and certificate["fingerprint"] == fingerprint
    return [
        Problem("drift.overwritten", Severity.WARNING, name, {"file": name})
        for name in drift.drifted
        if not is_kept.get(name, False)
    ]
