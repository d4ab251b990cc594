"""Rules as ``iptables-save`` prints them (iptables(8), iptables-extensions(8)), ufw's too."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailadmin.mailconf.guards.packet_filter import Chain, Chains, PortRange, Rule, Verdict

_BASE = frozenset({"INPUT", "PREROUTING"})
_TABLES = frozenset({"filter", "raw", "mangle"})
_ENDS = {"ACCEPT": Verdict.ACCEPT, "DROP": Verdict.DROP, "REJECT": Verdict.DROP,
         "RETURN": Verdict.RETURN}  # fmt: skip
_PORTS = frozenset({"--dport", "--dports", "--destination-port", "--destination-ports"})
_STATES = frozenset({"--ctstate", "--state"})
# What says nothing of who connects: names of extensions, comments, rates that are kept.
_SILENT = frozenset({"-m", "--match", "--comment", "--limit", "--limit-burst", "--reject-with"})
# Of the kinds of address that packets go to, those of this machine are ours.
_OURS = frozenset({"LOCAL", "UNICAST"})


class _NeverError(Exception):
    """The rule is not about a new TCP connection from outside."""


@dataclass(slots=True)
class _Reading:
    ports: tuple[PortRange, ...] | None = None
    is_sure: bool = True
    verdict: Verdict = Verdict.GO_ON
    target: str = ""


@dataclass(slots=True)
class _Table:
    policies: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[Rule]] = field(default_factory=dict)


def read_saved(text: str) -> Chains:
    """Return the chains that a packet to this machine meets. Raises ``ValueError``."""
    tables: dict[str, _Table] = {}
    table, name = _Table(), ""
    for line in text.splitlines():
        if line.startswith("*"):
            name = line[1:].strip()
            table = tables.setdefault(name, _Table())
        elif line.startswith(":"):
            chain, policy = line[1:].split()[:2]
            table.policies[chain] = policy
        elif line.startswith("-A "):
            chain, rule = _read_rule(line, name)
            table.rules.setdefault(chain, []).extend(rule)
    return {
        f"{name} {chain}": Chain(
            tuple(table.rules.get(chain, ())),
            chain in _BASE,
            Verdict.DROP if policy == "DROP" else Verdict.ACCEPT,
        )
        for name, table in tables.items()
        if name in _TABLES
        for chain, policy in table.policies.items()
    }


def _read_rule(line: str, table: str) -> tuple[str, list[Rule]]:
    words = iter(shlex.split(line))
    next(words)
    chain = next(words, "")
    reading = _Reading()
    try:
        _read_words(words, reading, table)
    except _NeverError:
        return chain, []
    return chain, [Rule(reading.verdict, reading.target, reading.ports, reading.is_sure)]


def _read_words(words: Iterator[str], reading: _Reading, table: str) -> None:
    is_not = False
    for word in words:
        if word == "!":
            is_not = True
            continue
        if word in {"-j", "--jump", "-g", "--goto"}:
            _read_target(next(words, ""), reading, table, is_goto=word in {"-g", "--goto"})
            if reading.verdict in {Verdict.GO_ON, Verdict.DROP}:
                # What follows belongs to the target: how to refuse, what to log.
                return
        elif word.startswith("-"):
            _read_option(word, words, reading, is_not=is_not)
        is_not = False


def _read_target(name: str, reading: _Reading, table: str, *, is_goto: bool) -> None:
    if name in _ENDS:
        reading.verdict = _ENDS[name]
    elif name.isupper():
        # LOG, NFLOG, MARK and the like: the packet goes on.
        reading.verdict = Verdict.GO_ON
    else:
        reading.verdict = Verdict.GOTO if is_goto else Verdict.JUMP
        reading.target = f"{table} {name}"


def _read_option(word: str, words: Iterator[str], reading: _Reading, *, is_not: bool) -> None:
    match word:
        case "-p" | "--protocol":
            _unless((next(words, "") in {"tcp", "all"}) is not is_not)
        case "-i" | "--in-interface":
            is_local = next(words, "") == "lo"
            _unless(not is_local or is_not)
            reading.is_sure = reading.is_sure and is_local
        case "--syn":
            _unless(not is_not)
        case "--tcp-flags":
            wanted = (next(words, ""), next(words, ""))[1] == "SYN"
            _unless(wanted is not is_not)
        case "--dst-type":
            _unless((next(words, "") in _OURS) is not is_not)
        case _ if word in _STATES:
            _unless(("NEW" in next(words, "").split(",")) is not is_not)
        case _ if word in _PORTS:
            ports = _ranges(next(words, ""))
            reading.ports = ports
            reading.is_sure = reading.is_sure and ports is not None and not is_not
        case _ if word in _SILENT:
            next(words, "")
        case _:
            # By address, by set, by time: who it is about is not looked at.
            reading.is_sure = False


def _unless(is_met: bool) -> None:
    if not is_met:
        raise _NeverError


def _ranges(text: str) -> tuple[PortRange, ...] | None:
    found: list[PortRange] = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        if not (low.isdecimal() and (high.isdecimal() or not colon)):
            return None
        found.append((int(low), int(high or low)))
    return tuple(found)
