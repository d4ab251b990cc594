"""Rules as ``nft -j list ruleset`` prints them (libnftables-json(5))."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mailadmin.mailconf.guards.packet_filter import Chain, Chains, PortRange, Rule, Verdict

FAMILIES = ("ip", "ip6")
_HOOKS = frozenset({"input", "prerouting"})
_EVERY_PORT: PortRange = (0, 65535)
_ENDS = {"accept": Verdict.ACCEPT, "drop": Verdict.DROP, "reject": Verdict.DROP,
         "return": Verdict.RETURN}  # fmt: skip

# What says nothing of who connects.
_SILENT = frozenset({"counter", "log", "comment", "notrack", "mangle"})


class _NeverError(Exception):
    """The rule is not about a new TCP connection from outside."""


def read_ruleset(text: str, family: str, *, has_iptables: bool = False) -> Chains:
    """Return the chains that a packet of this family (``ip`` or ``ip6``) meets.

    ``has_iptables``: what iptables made and only iptables can put into words is left out, since
    it prints that itself. Raises ``ValueError`` for what is no ruleset.
    """
    try:
        items = [item for item in json.loads(text)["nftables"] if isinstance(item, dict)]
        chains = _read(items, {family, "inet"}, family)
        foreign = _foreign_tables(items) if has_iptables else ()
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return {name: chain for name, chain in chains.items() if not name.startswith(tuple(foreign))}


def _foreign_tables(items: Sequence[dict[str, Any]]) -> set[str]:
    rules = [item["rule"] for item in items if "rule" in item]
    return {
        f"{rule['family']} {rule['table']} "
        for rule in rules
        if any("xt" in expression for expression in rule["expr"])
    }


def _read(items: Sequence[dict[str, Any]], families: set[str], family: str) -> Chains:
    sets = {_key(item["set"], "name"): item["set"] for item in items if "set" in item}
    rules: dict[str, list[Rule]] = {}
    for item in items:
        rule = item.get("rule")
        if rule and rule["family"] in families:
            place = rules.setdefault(_key(rule, "chain"), [])
            place += _read_rule(rule, sets, family)
    return {
        _key(chain, "name"): Chain(
            tuple(rules.get(_key(chain, "name"), ())),
            chain.get("type") == "filter" and chain.get("hook") in _HOOKS,
            Verdict.DROP if chain.get("policy") == "drop" else Verdict.ACCEPT,
        )
        for chain in (item["chain"] for item in items if "chain" in item)
        if chain["family"] in families
    }


def _key(item: Mapping[str, Any], name: str) -> str:
    return f"{item['family']} {item['table']} {item[name]}"


def _read_rule(
    rule: Mapping[str, Any], sets: Mapping[str, Mapping[str, Any]], family: str
) -> Iterator[Rule]:
    """Yield what the rule comes to: one, or with a verdict map one for each port in it."""
    ports: tuple[PortRange, ...] | None = None
    is_sure = True
    for expression in rule["expr"]:
        ((name, value),) = expression.items()
        try:
            if name == "match":
                told, is_plain = _read_match(value, rule, sets, family)
                ports = told if ports is None else _common(ports, told)
                is_sure = is_sure and is_plain
            elif name == "limit":
                # What goes beyond a rate is not an ordinary connection.
                if value.get("inv"):
                    return
            elif name == "vmap":
                yield from _read_map(value, rule, ports, is_sure=is_sure)
            elif name in _ENDS:
                yield Rule(_ENDS[name], "", ports, is_sure)
            elif name in {"jump", "goto"}:
                yield Rule(Verdict(name), _target(rule, value), ports, is_sure)
            elif name not in _SILENT:
                is_sure = False
        except _NeverError:
            return


def _target(rule: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    return f"{rule['family']} {rule['table']} {value['target']}"


def _common(
    ports: tuple[PortRange, ...], others: tuple[PortRange, ...] | None
) -> tuple[PortRange, ...]:
    pairs = [(max(a, c), min(b, d)) for a, b in ports for c, d in others or (_EVERY_PORT,)]
    return tuple((low, high) for low, high in pairs if low <= high)


def _read_match(
    match: Mapping[str, Any],
    rule: Mapping[str, Any],
    sets: Mapping[str, Mapping[str, Any]],
    family: str,
) -> tuple[tuple[PortRange, ...] | None, bool]:
    """Return the ports that a match is about, and whether it is about everybody.

    Raises :class:`_NeverError` if it is about nobody who connects from outside.
    """
    left, right = match["left"], match["right"]
    is_not = match["op"] == "!="
    kind, value = next(iter(left.items())) if isinstance(left, dict) else ("", {})
    if kind == "payload" and value.get("field") == "dport":
        return _read_ports(value, right, rule, sets, is_not=is_not)
    if kind == "meta":
        return None, _is_told_by_meta(str(value.get("key")), right, family, is_not=is_not)
    if kind == "ct" and value.get("key") == "state":
        return None, _unless(("new" in _listed(right)) is not is_not)
    if kind == "payload" and value.get("field") in {"protocol", "nexthdr"}:
        return None, _unless(_is_tcp(right) is not is_not)
    if kind == "payload" and value.get("protocol") in {"udp", "icmp", "icmpv6", *FAMILIES}:
        return None, _unless(value["protocol"] == family) and False
    if kind == "&" or (kind == "payload" and value.get("field") == "flags"):
        # Of the flags, an ordinary connection begins with SYN alone.
        return None, _unless(
            ("syn" in _listed(right)) is not is_not and "fin" not in _listed(right)
        )
    return None, False


def _unless(is_met: bool) -> bool:
    if not is_met:
        raise _NeverError
    return True


def _is_told_by_meta(key: str, right: Any, family: str, *, is_not: bool) -> bool:
    if key in {"iif", "iifname"} and "lo" in _listed(right):
        return _unless(is_not)
    if key in {"l4proto", "protocol"}:
        wanted = _is_tcp(right) if key == "l4proto" else family in _listed(right)
        return _unless(wanted is not is_not)
    if key == "nfproto":
        wanted = {"ip": "ipv4", "ip6": "ipv6"}[family] in _listed(right)
        return _unless(wanted is not is_not)
    return False


def _is_tcp(right: Any) -> bool:
    return bool({"tcp", 6} & set(_listed(right)))


def _listed(right: Any) -> list[Any]:
    items = right.get("set", []) if isinstance(right, dict) else right
    items = items if isinstance(items, list) else [items]
    return [item for item in items if isinstance(item, str | int)]


def _read_ports(
    value: Mapping[str, Any],
    right: Any,
    rule: Mapping[str, Any],
    sets: Mapping[str, Mapping[str, Any]],
    *,
    is_not: bool,
) -> tuple[tuple[PortRange, ...] | None, bool]:
    if value.get("protocol") not in {"tcp", "th"}:
        raise _NeverError
    if isinstance(right, str) and right.startswith("@"):
        named = sets.get(f"{rule['family']} {rule['table']} {right[1:]}", {})
        right = {"set": named.get("elem", [])}
    ranges = _ranges(right)
    if ranges is None:
        return None, False
    return (_all_but(ranges) if is_not else ranges), True


def _ranges(right: Any) -> tuple[PortRange, ...] | None:
    """Return the ports of a value; None if it has other parts too."""
    items = right["set"] if isinstance(right, dict) and "set" in right else [right]
    found: list[PortRange] = []
    for item in items if isinstance(items, list) else [items]:
        plain = item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item
        if isinstance(plain, int):
            found.append((plain, plain))
        elif isinstance(plain, dict) and "range" in plain:
            low, high = plain["range"]
            found.append((low, high))
        else:
            return None
    return tuple(found)


def _all_but(ranges: Sequence[PortRange]) -> tuple[PortRange, ...]:
    found: list[PortRange] = []
    begin = 0
    for low, high in sorted(ranges):
        found.append((begin, low - 1))
        begin = max(begin, high + 1)
    found.append((begin, 65535))
    return tuple((low, high) for low, high in found if low <= high)


def _read_map(
    value: Mapping[str, Any],
    rule: Mapping[str, Any],
    ports: tuple[PortRange, ...] | None,
    *,
    is_sure: bool,
) -> Iterator[Rule]:
    key, data = value["key"], value["data"]
    is_port = isinstance(key, dict) and key.get("payload", {}).get("field") == "dport"
    if key == {"ct": {"key": "state"}} and isinstance(data, dict):
        chosen = [row for row in data["set"] if "new" in _listed(row[0])]
    else:
        chosen = data["set"] if isinstance(data, dict) else []
    for match, verdict in chosen:
        ((name, target),) = verdict.items()
        told = _ranges(match) if is_port else None
        about = told if ports is None else _common(ports, told)
        is_plain = is_sure and (is_port or key == {"ct": {"key": "state"}})
        if name in _ENDS:
            yield Rule(_ENDS[name], "", about, is_plain)
        elif name in {"jump", "goto"}:
            yield Rule(Verdict(name), _target(rule, target), about, is_plain)
