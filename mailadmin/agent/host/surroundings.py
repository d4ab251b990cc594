"""What stands between the ports and those who connect: asked of the system, changed never."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mailadmin.agent.host.programs import find_program, run
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.guards.fail2ban import read_jails, uncovered
from mailadmin.mailconf.guards.iptables import read_saved
from mailadmin.mailconf.guards.nftables import FAMILIES, read_ruleset
from mailadmin.mailconf.guards.packet_filter import Chains, Fate, fate_of, worst
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.state import ANY_ADDRESS
from mailadmin.pki.problems import Param, Problem, Severity

_SBIN = Path("/sbin")
_SAVERS = {"ip": "iptables-save", "ip6": "ip6tables-save"}
_WORDS = {"ip": "IPv4", "ip6": "IPv6"}


def look_around(expected: Sequence[Expectation]) -> list[Problem]:
    """Return whether the packet filter lets clients through to these ports, and whether fail2ban
    looks after them; and what of that could not be found out.
    """
    outside = [item for item in expected if not _is_loopback(item.address)]
    inside = [item.port for item in expected if _is_loopback(item.address)]
    problems = [_note("firewall.not_asked", ports=_listed(inside))] if inside else []
    if outside:
        problems += [*_look_at_firewall(outside), *_look_at_jails(outside)]
    return problems


def _is_loopback(address: str) -> bool:
    return address != ANY_ADDRESS and ipaddress.ip_address(address).is_loopback


def _families(address: str) -> tuple[str, ...]:
    if address == ANY_ADDRESS:
        return FAMILIES
    return ("ip6",) if ":" in address else ("ip",)


def _look_at_firewall(expected: Sequence[Expectation]) -> list[Problem]:
    try:
        filters = _read_filters()
    except AgentError as error:
        detail = str(error.problem.params.get("words") or error.problem.code)
        return [_problem("firewall.unreadable", detail=detail)]
    if not filters:
        return [Problem("firewall.no_tool", Severity.INFO)]
    fates = [(item, _fates(item, filters)) for item in expected]
    problems = [problem for item, found in fates for problem in _judge(item, found)]
    ports = [item.port for item, found in fates if set(found.values()) == {Fate.OPEN}]
    if ports:
        problems.append(_note("firewall.open", ports=_listed(ports)))
    return problems


def _fates(item: Expectation, filters: Sequence[dict[str, Chains]]) -> dict[str, Fate]:
    return {
        family: worst(fate_of(each.get(family, {}), item.port) for each in filters)
        for family in _families(item.address)
    }


def _judge(item: Expectation, found: dict[str, Fate]) -> Iterator[Problem]:
    for fate, code in ((Fate.CLOSED, "firewall.closed"), (Fate.SOME, "firewall.some")):
        families = [_WORDS[family] for family, one in found.items() if one is fate]
        if families:
            params: dict[str, Param] = {"port": item.port, "families": ", ".join(families)}
            severity = Severity.WARNING if fate is Fate.CLOSED else Severity.INFO
            yield Problem(code, severity, item.service, params)


def _read_filters() -> list[dict[str, Chains]]:
    """Return the chains of each tool that is there, by family. Raises :class:`AgentError`."""
    saved = {family: _print_rules(name) for family, name in _SAVERS.items()}
    ruleset = _print_rules("nft", "-j", "list", "ruleset")
    try:
        return list(_parse_filters(saved, ruleset))
    except ValueError as error:
        raise AgentError.because("firewall.unreadable", words=str(error)) from None


def _parse_filters(
    saved: dict[str, str | None], ruleset: str | None
) -> Iterator[dict[str, Chains]]:
    if any(text is not None for text in saved.values()):
        yield {family: read_saved(text or "") for family, text in saved.items()}
    if ruleset is not None:
        yield {
            family: read_ruleset(ruleset, family, has_iptables=bool(text))
            for family, text in saved.items()
        }


def _print_rules(name: str, *arguments: str) -> str | None:
    """Return what the program prints; None where it is not installed. Raises AgentError."""
    try:
        program = find_program(name, _SBIN)
    except AgentError:
        return None
    done = run([program, *arguments])
    if not done.is_ok:
        raise AgentError.because("firewall.unreadable", words=f"{name}: {done.words}")
    return done.output


def _look_at_jails(expected: Sequence[Expectation]) -> list[Problem]:
    try:
        client = find_program("fail2ban-client")
    except AgentError:
        return [Problem("fail2ban.missing", Severity.INFO)]
    try:
        dump = run([client, "-d"])
        is_on = run([client, "ping"]).is_ok
    except AgentError as error:
        return [_problem("fail2ban.unreadable", detail=error.problem.code)]
    if not dump.is_ok:
        return [_problem("fail2ban.unreadable", detail=dump.words)]
    if not is_on:
        return [_problem("fail2ban.off")]
    jails = read_jails(dump.output)
    ports = [item.port for item in expected]
    bare = uncovered(jails, ports)
    names = ", ".join(jail.name for jail in jails if jail.is_of_mail)
    problems = [_problem("fail2ban.uncovered", ports=_listed(bare), jails=names)] if bare else []
    covered = [port for port in ports if port not in bare]
    if covered:
        problems.append(_note("fail2ban.covers", ports=_listed(covered), jails=names))
    return problems


def _listed(ports: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(ports))))


def _problem(code: str, **params: str) -> Problem:
    return Problem(code, Severity.WARNING, params=params)


def _note(code: str, **params: str) -> Problem:
    return Problem(code, Severity.INFO, params=params)
