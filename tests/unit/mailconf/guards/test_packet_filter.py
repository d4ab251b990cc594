"""Whether a port can be reached, by rules as the real tools print them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.guards.iptables import read_saved
from mailadmin.mailconf.guards.nftables import read_ruleset
from mailadmin.mailconf.guards.packet_filter import Chain, Fate, Rule, Verdict, fate_of, worst

GOLDEN = Path(__file__).parents[3] / "golden" / "guards"
NFT = (GOLDEN / "nft-1.0.6.json").read_text()
SAVED = (GOLDEN / "iptables-save-1.8.9.txt").read_text()
MADE_BY_IPTABLES = (GOLDEN / "nft-1.0.6-iptables.json").read_text()
OPEN, SOME, CLOSED = Fate.OPEN, Fate.SOME, Fate.CLOSED


@pytest.mark.parametrize(
    ("port", "fate"),
    [
        (25, OPEN), (465, OPEN), (587, OPEN), (993, OPEN), (995, OPEN), (2525, OPEN),
        (10993, OPEN), (989, CLOSED), (110, CLOSED), (143, CLOSED), (4190, SOME),
    ],
)  # fmt: skip
def test_a_real_ruleset_of_nft(port: int, fate: Fate) -> None:
    assert fate_of(read_ruleset(NFT, "ip"), port) is fate
    # The only rule for some is about IPv4.
    assert fate_of(read_ruleset(NFT, "ip6"), port) is (CLOSED if fate is SOME else fate)


@pytest.mark.parametrize(
    ("port", "fate"),
    [(25, OPEN), (465, OPEN), (992, OPEN), (587, OPEN), (110, CLOSED), (143, CLOSED), (4190, SOME)],
)
def test_a_real_ruleset_of_iptables_in_the_shape_of_ufw(port: int, fate: Fate) -> None:
    assert fate_of(read_saved(SAVED), port) is fate
    both = (read_saved(SAVED), read_ruleset(MADE_BY_IPTABLES, "ip", has_iptables=True))
    assert worst(fate_of(chains, port) for chains in both) is fate


def test_without_rules_everything_is_open() -> None:
    for chains in ({}, read_saved(""), read_ruleset('{"nftables": []}', "ip")):
        assert fate_of(chains, 25) is OPEN


def saved(rule: str) -> str:
    return f"*filter\n:INPUT DROP [0:0]\n:sub - [0:0]\n{rule}\n-A sub -j ACCEPT\nCOMMIT\n"


@pytest.mark.parametrize(
    ("rule", "fate"),
    [
        ("-A INPUT -j ACCEPT", OPEN),
        ("-A INPUT -p tcp -m tcp --dport 465 -j ACCEPT", OPEN),
        ("-A INPUT -p tcp -m tcp ! --dport 465 -j ACCEPT", SOME),
        ("-A INPUT -p tcp -m tcp --dport smtps -j ACCEPT", SOME),
        ("-A INPUT -p udp -m udp --dport 465 -j ACCEPT", CLOSED),
        ("-A INPUT ! -p udp -j ACCEPT", OPEN),
        ("-A INPUT -i lo -j ACCEPT", CLOSED),
        ("-A INPUT ! -i lo -j ACCEPT", OPEN),
        ("-A INPUT -i eth0 -j ACCEPT", SOME),
        ("-A INPUT -m state --state NEW -j ACCEPT", OPEN),
        ("-A INPUT -m conntrack ! --ctstate NEW -j ACCEPT", CLOSED),
        ("-A INPUT -p tcp -m tcp --syn -j ACCEPT", OPEN),
        ("-A INPUT -p tcp -m tcp ! --syn -j ACCEPT", CLOSED),
        ("-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", OPEN),
        ("-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j ACCEPT", CLOSED),
        ("-A INPUT -m set --match-set good src -j ACCEPT", SOME),
        ("-A INPUT -g sub", OPEN),
        ("-A INPUT -j gone", CLOSED),
        ('-A INPUT -j LOG --log-prefix "x -j ACCEPT"', CLOSED),
        ("-A INPUT -j REJECT --reject-with tcp-reset", CLOSED),
        ("-A", CLOSED),
        ("-A INPUT stray -j ACCEPT", OPEN),
    ],
)
def test_what_an_option_of_iptables_means_for_port_465(rule: str, fate: Fate) -> None:
    assert fate_of(read_saved(saved(rule)), 465) is fate


def test_tables_that_only_rewrite_have_no_say() -> None:
    assert fate_of(read_saved(saved("").replace("*filter", "*nat")), 465) is OPEN


def test_each_base_chain_has_a_say() -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 465 -j DROP\nCOMMIT\n"
    assert fate_of(read_saved(saved("-A INPUT -j ACCEPT") + raw), 465) is CLOSED


def test_chains_that_call_each_other_end() -> None:
    loop = Chain((Rule(Verdict.JUMP, "a"),), is_base=True, policy=Verdict.DROP)
    assert fate_of({"a": loop}, 465) is CLOSED


def test_who_returns_for_some_goes_on() -> None:
    rules = (Rule(Verdict.RETURN, is_sure=False), Rule(Verdict.ACCEPT))
    assert fate_of({"a": Chain(rules, is_base=True, policy=Verdict.DROP)}, 465) is OPEN


@given(st.text(alphabet="-Ajpi! *:\n INPUTACCEPTdport465\"'", max_size=80))
def test_no_text_breaks_the_reader_of_iptables(text: str) -> None:
    try:
        fate_of(read_saved(text), 465)
    except ValueError:
        return
