"""RSA and ECDSA side by side: what clients that know only one of them are really shown.

The clients are ``openssl s_client``, in TLS 1.3 and 1.2; the agent's own probe is only compared.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mailadmin.agent import proving
from mailadmin.agent.protocol import Outcome, StepEvent
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from tests.integration import wire
from tests.integration.mail_host import SERVICES, MailHost
from tests.states import make_material, make_pair, with_default, with_listener, with_name

pytestmark = pytest.mark.integration

ONE, TWO = "mail.one.test", "mail.two.test"
SIGNATURES = {
    "rsa": "rsa_pss_rsae_sha256:rsa_pkcs1_sha256",
    "ecdsa": "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384",
}
CIPHERS = {"rsa": "ECDHE-RSA-AES128-GCM-SHA256", "ecdsa": "ECDHE-ECDSA-AES128-GCM-SHA256"}
Pair = tuple[CertificateMaterial, CertificateMaterial]


def shown(host: MailHost, service: str, algorithm: str, sni_name: str = "") -> set[str]:
    """Return the leaves that a client of one kind of key is shown, in TLS 1.3 and in TLS 1.2."""
    where = (host.address, host.port(service), service, sni_name)
    return {
        wire.shake_hands(*where, "-tls1_3", "-sigalgs", SIGNATURES[algorithm]).leaf,
        wire.shake_hands(*where, "-tls1_2", "-cipher", CIPHERS[algorithm]).leaf,
    }


def served(host: MailHost, algorithm: str, sni_name: str = "") -> dict[str, set[str]]:
    """Return what every port shows to a client of one kind of key."""
    with ThreadPoolExecutor(4) as pool:
        leaves = pool.map(lambda service: shown(host, service, algorithm, sni_name), SERVICES)
        return dict(zip(SERVICES, leaves, strict=True))


def everywhere(fingerprint: str) -> dict[str, set[str]]:
    return {service: {fingerprint} for service in SERVICES}


def with_pair(state: DesiredState, pair: Pair) -> DesiredState:
    """Return the state with the pair for everybody, the first of it wanted."""
    state = with_default(state, pair[0])
    return replace(state, certificates=(*state.certificates, pair[1]))


def test_every_port_shows_each_client_the_certificate_it_can_use(host: MailHost) -> None:
    rsa, ecdsa = make_pair("mail")
    reloads, masters = host.count_reloads(), host.masters()
    report = host.apply(with_pair(host.base, (rsa, ecdsa)))

    assert served(host, "rsa") == everywhere(rsa.fingerprint)
    assert served(host, "ecdsa") == everywhere(ecdsa.fingerprint)
    # A client that knows both is shown one of them.
    assert set(host.leaves().values()) <= {rsa.fingerprint, ecdsa.fingerprint}
    # Dovecot has read its files anew, without a reload.
    after = host.count_reloads()
    assert (after[0] - reloads[0], after[1] - reloads[1]) == (1, 0)
    assert host.masters() == masters
    proven = {(item.service, item.key_algorithm): item.fingerprint for item in report.evidence}
    assert proven == {
        (service, key): leaf.fingerprint
        for service in SERVICES
        for key, leaf in (("rsa", rsa), ("ecdsa", ecdsa))
    }
    assert host.is_in_base_state() is False

    # Separated again: only the wanted one is left, and nobody is shown the other.
    alone = replace(rsa, companion="")
    host.apply(with_default(host.base, alone))
    assert served(host, "rsa") == everywhere(rsa.fingerprint)
    assert served(host, "ecdsa") == everywhere("")


def test_one_of_the_two_is_renewed_and_the_other_stays(host: MailHost) -> None:
    rsa, ecdsa = make_pair("mail")
    host.apply(with_pair(host.base, (rsa, ecdsa)))
    reloads = host.count_reloads()
    new = replace(make_material("renewed").certificate, companion=rsa.fingerprint)
    kept = replace(rsa, companion=new.fingerprint)
    host.apply(with_pair(host.base, (kept, new)))
    assert served(host, "rsa") == everywhere(rsa.fingerprint)
    assert served(host, "ecdsa") == everywhere(new.fingerprint)
    assert host.count_reloads()[1] == reloads[1]


def test_a_host_name_has_a_pair_of_its_own_or_is_not_shown_that_of_the_others(
    host: MailHost,
) -> None:
    """A ``local_name`` that says nothing of a second certificate inherits the global one."""
    rsa, ecdsa = make_pair("mail")
    one = make_material("one", (ONE,), kind="rsa-2048").certificate
    two_rsa, two_ecdsa = make_pair("two", (TWO,))
    state = with_name(with_pair(host.base, (rsa, ecdsa)), ONE, one)
    state = with_name(state, TWO, two_ecdsa)
    state = replace(state, certificates=(*state.certificates, two_rsa))
    report = host.apply(state)

    assert served(host, "rsa", ONE) == everywhere(one.fingerprint)
    assert served(host, "ecdsa", ONE) == everywhere("")
    assert {host.leaf(service, ONE) for service in SERVICES} == {one.fingerprint}
    assert served(host, "rsa", TWO) == everywhere(two_rsa.fingerprint)
    assert served(host, "ecdsa", TWO) == everywhere(two_ecdsa.fingerprint)
    assert served(host, "rsa") == everywhere(rsa.fingerprint)
    assert served(host, "ecdsa") == everywhere(ecdsa.fingerprint)
    # Never more than one handshake more for each port and name.
    assert len(report.evidence) == len(SERVICES) * (2 + 1 + 2)


def test_the_other_way_round_an_ecdsa_name_is_not_shown_the_default_rsa(host: MailHost) -> None:
    rsa, ecdsa = make_pair("mail")
    one = make_material("one", (ONE,)).certificate
    host.apply(with_name(with_pair(host.base, (ecdsa, rsa)), ONE, one))
    assert served(host, "ecdsa", ONE) == everywhere(one.fingerprint)
    assert served(host, "rsa", ONE) == everywhere("")


def test_one_port_of_each_daemon_can_have_a_pair_of_its_own(host: MailHost) -> None:
    smtp, sieve = make_pair("smtp"), make_pair("sieve")
    state = replace(host.base, certificates=(*host.base.certificates, *smtp, *sieve))
    state = with_listener(state, "submission", certificate=smtp[0].fingerprint)
    state = with_listener(state, "sieve", certificate=sieve[1].fingerprint)
    host.apply(state)
    for service, (rsa, ecdsa) in {"submission": smtp, "sieve": sieve}.items():
        assert shown(host, service, "rsa") == {rsa.fingerprint}
        assert shown(host, service, "ecdsa") == {ecdsa.fingerprint}
    assert shown(host, "imaps", "ecdsa") == {host.base.default_certificate}
    assert shown(host, "submissions", "ecdsa") == {host.base.default_certificate}


def test_a_pair_is_proven_where_only_tls_1_3_is_spoken(host: MailHost) -> None:
    rsa, ecdsa = make_pair("mail")
    state = replace(with_pair(host.base, (rsa, ecdsa)), tls_profile="modern")
    report = host.apply(state)
    assert {item.tls_version for item in report.evidence} == {"TLSv1.3"}
    assert len(report.evidence) == 2 * len(SERVICES)
    for service in ("submission", "imaps"):
        assert shown(host, service, "rsa") == {rsa.fingerprint, ""}
        assert shown(host, service, "ecdsa") == {ecdsa.fingerprint, ""}


def test_a_pair_that_is_not_served_is_not_proven_and_all_is_put_back(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The companion's file holds another certificate: what a reload reports as a success."""
    rsa, ecdsa = make_pair("mail")
    stranger = make_material("stranger").bundle.encode()
    files = host.files()
    write = host.agent.host.write_generation

    def write_another(number: int, pem: dict[str, bytes], *rest: str) -> object:
        return write(number, pem | {"default_alt.pem": stranger}, *rest)

    monkeypatch.setattr(host.agent.host, "write_generation", write_another)
    patience = proving._PATIENCE
    monkeypatch.setattr(proving, "_PATIENCE", 2.0)

    def be_patient_on_the_way_back(event: StepEvent) -> None:
        if event.code == "restored":
            monkeypatch.setattr(proving, "_PATIENCE", patience)

    report = host.apply(
        with_pair(host.base, (rsa, ecdsa)),
        Outcome.ROLLED_BACK,
        on_step=be_patient_on_the_way_back,
    )
    assert report.problem is not None
    assert report.problem.code == "probe.other_certificate"
    assert report.problem.params["key_algorithm"] == "ecdsa"
    assert host.files() == files
    # That it is as before was proven for both kinds of client.
    looked = {(item.service, item.key_algorithm) for item in report.evidence}
    assert looked == {(service, key) for service in SERVICES for key in SIGNATURES}
    assert served(host, "ecdsa") == everywhere(host.base.default_certificate)


def spoiled() -> dict[str, Pair]:
    rsa, ecdsa = make_pair("mail")
    other, stranger = make_material("other").certificate, make_material("x").certificate
    return {
        "material.key_mismatch": (rsa, replace(ecdsa, key_pem=other.key_pem)),
        "material.key_missing": (rsa, replace(ecdsa, key_pem="")),
        "material.other_leaf": (rsa, replace(ecdsa, leaf_pem=other.leaf_pem)),
        "pair.one_sided": (rsa, replace(ecdsa, companion="")),
        "pair.same_algorithm": (
            replace(other, companion=stranger.fingerprint, key_algorithm="rsa"),
            replace(stranger, companion=other.fingerprint, key_algorithm="ecdsa"),
        ),
    }


@pytest.mark.parametrize("code", list(spoiled()))
def test_a_wrong_companion_is_refused_before_anything_is_written(host: MailHost, code: str) -> None:
    """What the panel says of the keys is not believed: the leaves are asked."""
    files, moments, generations = host.files(), host.moments(), host.generations()
    report = host.apply(with_pair(host.base, spoiled()[code]), Outcome.REFUSED)
    assert report.problem is not None
    assert report.problem.code == code
    assert (host.files(), host.moments(), host.generations()) == (files, moments, generations)
    assert shown(host, "imaps", "ecdsa") == {host.base.default_certificate}


def test_a_companion_whose_key_is_only_on_the_host_goes_on_serving(host: MailHost) -> None:
    """As after a takeover, where the panel knows the certificates and never had a key."""
    rsa, ecdsa = make_pair("mail")
    host.apply(with_pair(host.base, (rsa, ecdsa)))
    keyless = (replace(rsa, key_pem=""), replace(ecdsa, key_pem=""))
    one = make_material("one", (ONE,)).certificate
    host.apply(with_name(with_pair(host.base, keyless), ONE, one))
    assert shown(host, "smtp", "rsa") == shown(host, "pop3s", "rsa") == {rsa.fingerprint}
    assert shown(host, "smtp", "ecdsa") == shown(host, "pop3s", "ecdsa") == {ecdsa.fingerprint}
