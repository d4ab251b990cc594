"""What becomes of a new TCP connection from anywhere to a port, by the rules of a packet filter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

PortRange = tuple[int, int]
# Chains call each other; more is a loop, which no kernel takes.
_DEEPEST = 16


class Verdict(StrEnum):
    """What a rule does with what it matches. ``GO_ON``: nothing that matters here."""

    ACCEPT = "accept"
    DROP = "drop"
    RETURN = "return"
    JUMP = "jump"
    GOTO = "goto"
    GO_ON = "go_on"


class Fate(StrEnum):
    """Who gets through. ``SOME``: only those that a rule names by what we do not look at."""

    OPEN = "open"
    SOME = "some"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Rule:
    """``ports``: those it is about, None for all. ``is_sure``: it asks for nothing else, so that it
    is about everybody; otherwise it may be about some, by address or the like.
    """

    verdict: Verdict
    target: str = ""
    ports: tuple[PortRange, ...] | None = None
    is_sure: bool = True

    def is_about(self, port: int) -> bool:
        """Tell whether the rule may match a connection to the port."""
        return self.ports is None or any(low <= port <= high for low, high in self.ports)


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in order. ``is_base``: packets come in here; ``policy`` is what happens at its end."""

    rules: tuple[Rule, ...]
    is_base: bool = False
    policy: Verdict = Verdict.ACCEPT


Chains = Mapping[str, Chain]


@dataclass(slots=True)
class _Walk:
    chains: Chains
    port: int
    is_some: bool = False

    def through(self, chain: Chain, depth: int = 0) -> Verdict:
        """Return the fate of an ordinary client in this chain; RETURN if it comes out of it."""
        if depth > _DEEPEST:
            return Verdict.RETURN
        for rule in chain.rules:
            if not rule.is_about(self.port):
                continue
            verdict = self._follow(rule, depth)
            if verdict is Verdict.GO_ON:
                continue
            if rule.is_sure:
                return verdict
            # About some only: an ordinary client is not refused by it, and not let in.
            self.is_some = self.is_some or verdict is Verdict.ACCEPT
        return Verdict.RETURN

    def _follow(self, rule: Rule, depth: int) -> Verdict:
        if rule.verdict not in {Verdict.JUMP, Verdict.GOTO}:
            return rule.verdict
        target = self.chains.get(rule.target)
        verdict = self.through(target, depth + 1) if target else Verdict.RETURN
        if verdict is Verdict.RETURN and rule.verdict is Verdict.JUMP:
            return Verdict.GO_ON
        return verdict


def fate_of(chains: Chains, port: int) -> Fate:
    """Return what becomes of a new connection to the port; each base chain has a say."""
    return worst(_fate_in(chains, chain, port) for chain in chains.values() if chain.is_base)


def worst(fates: Iterable[Fate]) -> Fate:
    """Return what gets through all of these."""
    return max(fates, key=list(Fate).index, default=Fate.OPEN)


def _fate_in(chains: Chains, chain: Chain, port: int) -> Fate:
    walk = _Walk(chains, port)
    verdict = walk.through(chain)
    if verdict is Verdict.RETURN:
        verdict = chain.policy
    if verdict is not Verdict.DROP:
        return Fate.OPEN
    return Fate.SOME if walk.is_some else Fate.CLOSED
