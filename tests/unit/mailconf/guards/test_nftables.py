"""What each expression of nft means for a new connection from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailadmin.mailconf.guards.nftables import read_ruleset
from mailadmin.mailconf.guards.packet_filter import Fate, fate_of

OPEN, SOME, CLOSED = Fate.OPEN, Fate.SOME, Fate.CLOSED
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
STATE = {"ct": {"key": "state"}}
ACCEPT: dict[str, Any] = {"accept": None}
TO_SUB = {"goto": {"target": "sub"}}


def ruleset(*rules: list[dict[str, Any]], **sets: list[Any]) -> str:
    place = {"family": "inet", "table": "t"}
    base = place | {"name": "in", "type": "filter", "hook": "input", "policy": "drop"}
    return json.dumps(
        {
            "nftables": [
                {"chain": base},
                {"chain": place | {"name": "sub"}},
                *({"set": place | {"name": name, "elem": elem}} for name, elem in sets.items()),
                *({"rule": place | {"chain": "in", "expr": rule}} for rule in rules),
                {"rule": place | {"chain": "sub", "expr": [ACCEPT]}},
            ]
        }
    )


def matching(left: object, right: object, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def field(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}


def meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def vmap(key: object, *rows: list[object]) -> dict[str, Any]:
    return {"vmap": {"key": key, "data": {"set": list(rows)}}}


@pytest.mark.parametrize(
    ("rule", "fate"),
    [
        ([ACCEPT], OPEN),
        ([{"counter": {}}, {"log": {}}, ACCEPT], OPEN),
        ([{"counter": {}}], CLOSED),
        ([matching(DPORT, 465, "!="), ACCEPT], CLOSED),
        ([matching(DPORT, 25, "!="), ACCEPT], OPEN),
        ([matching(DPORT, {"set": [1, {"range": [400, 500]}]}, "!="), ACCEPT], CLOSED),
        ([matching(DPORT, "@mail"), ACCEPT], OPEN),
        ([matching(DPORT, "@gone"), ACCEPT], CLOSED),
        ([matching(DPORT, "@odd"), ACCEPT], SOME),
        ([matching(DPORT, {"set": [400, 465]}), matching(DPORT, 465), ACCEPT], OPEN),
        ([matching(DPORT, 400), matching(DPORT, 465), ACCEPT], CLOSED),
        ([matching(field("th", "dport"), 465), ACCEPT], OPEN),
        ([matching(field("udp", "dport"), 465), ACCEPT], CLOSED),
        ([matching(field("icmp", "type"), "x"), ACCEPT], CLOSED),
        ([matching(field("ip", "protocol"), "tcp"), ACCEPT], OPEN),
        ([matching(field("ip", "saddr"), "192.0.2.1"), ACCEPT], SOME),
        ([matching(field("ip6", "saddr"), "::1"), ACCEPT], CLOSED),
        ([matching(field("tcp", "flags"), "syn"), ACCEPT], OPEN),
        ([matching(field("tcp", "flags"), ["fin"]), ACCEPT], CLOSED),
        ([matching({"&": [field("tcp", "flags"), ["syn", "fin"]]}, "syn"), ACCEPT], OPEN),
        ([matching(meta("iif"), "lo"), ACCEPT], CLOSED),
        ([matching(meta("iif"), "lo", "!="), ACCEPT], OPEN),
        ([matching(meta("iifname"), "eth0"), ACCEPT], SOME),
        ([matching(meta("l4proto"), {"set": ["tcp", "udp"]}), ACCEPT], OPEN),
        ([matching(meta("l4proto"), "udp"), ACCEPT], CLOSED),
        ([matching(meta("protocol"), "ip6"), ACCEPT], CLOSED),
        ([matching(meta("nfproto"), "ipv4"), ACCEPT], OPEN),
        ([matching(meta("nfproto"), "ipv6"), ACCEPT], CLOSED),
        ([matching(STATE, ["new", "established"], "in"), ACCEPT], OPEN),
        ([matching(STATE, "established", "in"), ACCEPT], CLOSED),
        ([matching(STATE, "invalid", "!="), ACCEPT], OPEN),
        ([matching({"ct": {"key": "mark"}}, 1), ACCEPT], SOME),
        ([matching("odd", 1), ACCEPT], SOME),
        ([{"limit": {"rate": 5}}, ACCEPT], OPEN),
        ([{"limit": {"rate": 5, "inv": True}}, ACCEPT], CLOSED),
        ([{"ct count": {"val": 5}}, ACCEPT], SOME),
        ([{"xt": {"type": "match"}}, ACCEPT], SOME),
        ([{"jump": {"target": "sub"}}], OPEN),
        ([TO_SUB], OPEN),
        ([{"jump": {"target": "gone"}}], CLOSED),
        ([vmap(DPORT, [465, ACCEPT], [25, {"drop": None}])], OPEN),
        ([vmap(DPORT, [465, TO_SUB])], OPEN),
        ([vmap(STATE, ["new", ACCEPT])], OPEN),
        ([vmap(STATE, ["established", ACCEPT])], CLOSED),
        ([vmap(meta("iif"), ["eth0", ACCEPT])], SOME),
        ([vmap(DPORT, [465, {"continue": None}])], CLOSED),
        ([{"vmap": {"key": DPORT, "data": "@named"}}], CLOSED),
        ([matching(DPORT, {"range": [1, 500]}), vmap(DPORT, [465, ACCEPT])], OPEN),
        ([matching(DPORT, {"set": [{"elem": {"val": 465, "comment": "x"}}]}), ACCEPT], OPEN),
    ],
)
def test_what_an_expression_means_for_port_465(rule: list[dict[str, Any]], fate: Fate) -> None:
    text = ruleset(rule, mail=[25, {"range": [460, 470]}], odd=["smtp"])
    assert fate_of(read_ruleset(text, "ip"), 465) is fate


def test_a_blocklist_closes_nothing() -> None:
    blocked = [matching(field("ip", "saddr"), "@bad"), {"drop": None}]
    assert fate_of(read_ruleset(ruleset(blocked, [ACCEPT]), "ip"), 465) is OPEN


def test_a_hook_for_what_passes_through_says_nothing() -> None:
    assert fate_of(read_ruleset(ruleset().replace('"input"', '"forward"'), "ip"), 465) is OPEN


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": 1}', '{"nftables": [{"rule": 1}]}'])
def test_what_is_no_ruleset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        read_ruleset(text, "ip")
