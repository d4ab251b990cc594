"""Desired state to main.cf and master.cf, for Postfix 3.7 to 3.11 (postconf(5), master(5))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from mailadmin.mailconf import block, main_cf, master_cf, material
from mailadmin.mailconf.addresses import is_collision
from mailadmin.mailconf.logical_lines import split_lines
from mailadmin.mailconf.master_cf import Entry
from mailadmin.mailconf.profiles import KEPT, PROFILES
from mailadmin.mailconf.services import SERVICES, Daemon, TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS, DesiredState, ListenerState
from mailadmin.pki.problems import Problem, Severity

# Superseded by smtpd_tls_chain_files or smtpd_tls_security_level; kept, they only mislead.
OLD_CERTIFICATES = (
    "smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_eccert_file", "smtpd_tls_eckey_file",
    "smtpd_tls_dcert_file", "smtpd_tls_dkey_file",
)  # fmt: skip
_REPLACED = ("smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_exclude_ciphers")

# Postfix has no 530 of its own: its stock restrictions answer 554 at RCPT. This one speaks at
# MAIL, which takes smtpd_delay_reject=no (measured on 3.7 and 3.10).
_ASK_FOR_LOGIN = (
    "permit_sasl_authenticated, check_sender_access static:{530 5.7.0 Authentication required}"
)
_RESTRICTIONS = (
    "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions",
    "smtpd_recipient_restrictions", "smtpd_relay_restrictions",
)  # fmt: skip
# What an admin's own service can say without losing anything to ours.
_USUAL_RESTRICTIONS: tuple[list[str], ...] = ([], ["permit_sasl_authenticated", "reject"])
# With -o a service would keep its own version of what main.cf now says for all.
_OUR_OPTIONS_ON_25 = frozenset(
    {
        *_REPLACED, *OLD_CERTIFICATES, "smtpd_tls_chain_files", "smtpd_tls_security_level",
        "smtpd_tls_wrappermode", "smtpd_tls_auth_only", "smtpd_tls_protocols",
        "smtpd_tls_mandatory_protocols", "tls_server_sni_maps",
    }
)  # fmt: skip
_OUR_OPTIONS = _OUR_OPTIONS_ON_25 | {
    *_RESTRICTIONS, "syslog_name", "smtpd_sasl_auth_enable", "smtpd_delay_reject",
    "milter_macro_daemon_name",
}  # fmt: skip
_NEW_COLUMNS = ("n", "-", "n", "-", "-")


@dataclass(frozen=True, slots=True)
class PostfixFiles:
    """The two files as text."""

    main_cf: str
    master_cf: str


def render(state: DesiredState, found: PostfixFiles, *, live: str, map_type: str) -> PostfixFiles:
    """Return the files that make Postfix what the state wants.

    ``live`` is the folder of the PEM files; ``map_type`` the host's lookup table type (``hash``).
    """
    settings = tls_settings(state, live=live, map_type=map_type)
    replaced = (
        *(_REPLACED if state.tls_profile != KEPT else ()),
        *(OLD_CERTIFICATES if state.default_certificate else ()),
    )
    text = found.main_cf
    return PostfixFiles(
        main_cf=main_cf.set_parameters(text, settings, replaced)
        if settings
        else block.remove_block(text),
        master_cf=_render_master_cf(state, found.master_cf, live=live),
    )


def tls_settings(state: DesiredState, *, live: str, map_type: str) -> dict[str, str]:
    """Return the parameters of main.cf that are ours."""
    settings = {} if state.tls_profile == KEPT else _policy_settings(state)
    if state.default_certificate:
        files = material.pair_files(state, material.DEFAULT, state.default_certificate)
        settings["smtpd_tls_chain_files"] = _chain_files(files, live)
    if state.sni_bindings:
        settings["tls_server_sni_maps"] = f"{map_type}:{live}/{material.SNI_MAP}"
    return settings


def read_owned(state: DesiredState, found: PostfixFiles) -> PostfixFiles:
    """Return of both files what the panel answers for: its block, and whatever outside of it says
    something about the same parameters, ports and addresses.
    """
    names = set(tls_settings(state, live="", map_type=""))
    names |= set(_REPLACED if state.tls_profile != KEPT else ())
    names |= set(OLD_CERTIFICATES if state.default_certificate else ())
    listeners = _postfix_listeners(state)
    return PostfixFiles(
        main_cf=block.keep_own(
            found.main_cf, lambda line: not names.isdisjoint(main_cf.read_parameters(line))
        ),
        master_cf=block.keep_own(
            found.master_cf, lambda line: any(_matching_entries(item, line) for item in listeners)
        ),
    )


def _policy_settings(state: DesiredState) -> dict[str, str]:
    profile = PROFILES[state.tls_profile]
    return {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_auth_only": "yes",
        "smtpd_tls_protocols": f">={profile.minimum_version}",
        "smtpd_tls_mandatory_protocols": f">={profile.minimum_version}",
        "smtpd_tls_exclude_ciphers": ", ".join(profile.excluded),
    }


def service_options(state: DesiredState, listener: ListenerState, *, live: str) -> dict[str, str]:
    """Return the ``-o`` settings of one of our services."""
    options: dict[str, str] = {}
    if listener.definition.is_for_clients:
        options |= _client_options(listener)
    elif listener.tls_mode is TlsMode.NONE:
        options["smtpd_tls_security_level"] = "none"
    elif state.tls_profile == KEPT:
        # Elsewhere main.cf says so for all.
        options["smtpd_tls_security_level"] = "may"
    own = material.own_certificate_file(state, listener)
    if own:
        files = material.pair_files(state, own, state.certificate_for(listener))
        options["smtpd_tls_chain_files"] = _chain_files(files, live)
    return options


def _chain_files(files: Iterable[str], live: str) -> str:
    """Return the files of a pair; Postfix shows each client the certificate it can use."""
    return ", ".join(f"{live}/{name}" for name in files)


def _client_options(listener: ListenerState) -> dict[str, str]:
    options = {"syslog_name": f"postfix/{listener.service}"}
    if listener.tls_mode is TlsMode.IMPLICIT:
        options["smtpd_tls_wrappermode"] = "yes"
    options["smtpd_tls_security_level"] = "encrypt"
    options["smtpd_sasl_auth_enable"] = "yes"
    options["smtpd_tls_auth_only"] = "yes"
    options["smtpd_delay_reject"] = "no"
    options["smtpd_client_restrictions"] = ""
    options["smtpd_helo_restrictions"] = ""
    options["smtpd_sender_restrictions"] = _ASK_FOR_LOGIN
    options["smtpd_recipient_restrictions"] = "permit_sasl_authenticated,reject"
    options["smtpd_relay_restrictions"] = "permit_sasl_authenticated,reject"
    options["milter_macro_daemon_name"] = "ORIGINATING"
    return options


def find_problems(state: DesiredState, found: PostfixFiles) -> list[Problem]:
    """Return what on this host keeps the state from being rendered, or would surprise."""
    texts = {"main.cf": found.main_cf, "master.cf": found.master_cf}
    return [
        *(
            Problem("postfix.block_damaged", subject=name)
            for name, text in texts.items()
            if block.is_damaged(text)
        ),
        *(
            problem
            for listener in _postfix_listeners(state)
            for problem in _listener_problems(state, listener, found)
        ),
    ]


def _listener_problems(
    state: DesiredState, listener: ListenerState, found: PostfixFiles
) -> Iterator[Problem]:
    matching = _matching_entries(listener, found.master_cf)
    foreign = [entry for entry in matching if not _is_understood(entry)]
    for entry in foreign:
        is_as_wanted = _is_as_wanted(state, listener, entry)
        yield Problem(
            "postfix.service_not_understood",
            Severity.WARNING if is_as_wanted else Severity.ERROR,
            listener.service,
            {"entry": entry.name, "command": entry.command},
        )
    if foreign or not (listener.is_enabled and listener.definition.is_for_clients):
        return
    earlier = _earlier_entry(listener, found.master_cf, matching)
    if not _can_check_passwords(found, earlier):
        yield Problem("postfix.sasl_not_configured", subject=listener.service)
    lost = _lost_restrictions(listener, found.master_cf)
    if lost:
        params = {"settings": "; ".join(f"{name} = {value}" for name, value in lost.items())}
        yield Problem("postfix.restrictions_replaced", Severity.WARNING, listener.service, params)


def _can_check_passwords(found: PostfixFiles, entry: Entry | None) -> bool:
    """Tell whether somebody chose where passwords are checked; the default is Cyrus, unset up."""
    settings = main_cf.read_parameters(found.main_cf) | (entry.options if entry else {})
    is_chosen = settings.get("smtpd_sasl_type", "cyrus") != "cyrus"
    return is_chosen or bool(settings.get("smtpd_sasl_path"))


def _is_understood(entry: Entry) -> bool:
    return entry.command == "smtpd"


def _is_as_wanted(state: DesiredState, listener: ListenerState, entry: Entry) -> bool:
    """Tell whether a service that is not ours to write already does what the state wants.

    postscreen(8) on port 25 does: it takes TLS and the default certificate from main.cf.
    """
    return (
        listener.is_enabled
        and entry.address_and_port == (listener.address, listener.port)
        and not service_options(state, listener, live="")
    )


def _lost_restrictions(listener: ListenerState, text: str) -> dict[str, str]:
    """Return the restrictions of the admin's own service that ours would replace.

    Once the block holds the service, this has been seen and applied.
    """
    if _own_entries(text, listener.service):
        return {}
    entry = master_cf.find_effective(_matching_entries(listener, block.remove_block(text)))
    return {
        name: value
        for name, value in (entry.options if entry else {}).items()
        if name in _RESTRICTIONS and value.replace(",", " ").split() not in _USUAL_RESTRICTIONS
    }


def _render_master_cf(state: DesiredState, text: str, *, live: str) -> str:
    original = block.remove_block(text)
    fresh = _new_entry(original)
    taken: list[Entry] = []
    content: list[str] = []
    for listener in _postfix_listeners(state):
        matching = _matching_entries(listener, original)
        if not all(map(_is_understood, matching)):
            continue
        taken += matching
        ours = _OUR_OPTIONS if listener.definition.is_for_clients else _OUR_OPTIONS_ON_25
        entry = replace(
            (_earlier_entry(listener, text, matching) or fresh).without_options(ours),
            name=master_cf.entry_name(listener.address, listener.port),
        )
        if listener.is_enabled:
            options = service_options(state, listener, live=live)
            content.append(f"# {listener.service}\n{entry.with_options(options).as_text()}")
        elif entry.words or entry.columns != fresh.columns:
            # What an admin had set here comes back when the port is opened again.
            content.append(f"# {listener.service}\n{entry.as_text(mark=master_cf.OFF)}")
    if state.tls_profile == KEPT and not taken and not content:
        return original
    return master_cf.replace_entries(text, taken, "".join(content))


def _postfix_listeners(state: DesiredState) -> list[ListenerState]:
    return [item for item in state.listeners if item.definition.daemon is Daemon.POSTFIX]


def _matching_entries(listener: ListenerState, text: str) -> list[Entry]:
    """Return the entries that stand for this listener: its port, and an address that meets ours."""
    ports = {listener.port, SERVICES[listener.service].port}
    found: list[Entry] = []
    for entry in master_cf.read_entries(text):
        where = entry.address_and_port
        if where is None or where[1] not in ports:
            continue
        if is_collision(where[0], listener.address):
            found.append(entry)
    return found


def _earlier_entry(listener: ListenerState, text: str, matching: list[Entry]) -> Entry | None:
    """Return the entry whose columns and foreign options live on: ours first, then the admin's."""
    own = _own_entries(text, listener.service)
    return own[0] if own else master_cf.find_effective(matching)


def _own_entries(text: str, service: str) -> list[Entry]:
    """Return what our block holds for a service, what is switched off last."""
    section = _block_section(text, service)
    return [*master_cf.read_entries(section), *master_cf.read_switched_off(section)]


def _block_section(text: str, service: str) -> str:
    """Return the lines of our block under ``# service``, up to the next service."""
    wanted: list[str] = []
    is_inside = False
    for line in split_lines(block.read_block(text)):
        if line.startswith("# ") and line[2:].strip() in SERVICES:
            is_inside = line[2:].strip() == service
        elif is_inside:
            wanted.append(line)
    return "".join(wanted)


def _new_entry(text: str) -> Entry:
    """Return a fresh smtpd service, chrooted the way the host's other smtpd services are."""
    others = [item for item in master_cf.read_entries(text) if _is_understood(item)]
    columns = others[0].columns if others else _NEW_COLUMNS
    return Entry("", "inet", ("n", columns[1], columns[2], "-", "-"), "smtpd")


def read_listeners(found: PostfixFiles) -> list[ListenerState]:
    """Return Postfix's listeners as the files have them now.

    A service that is not there gets the address of port 25: that is where it would be expected.
    """
    entries = {
        name: _own_entry(found, name) or entry_on_port(found.master_cf, service.port)
        for name, service in SERVICES.items()
        if service.daemon is Daemon.POSTFIX
    }
    smtp = entries["smtp"]
    usual = (smtp and smtp.address_and_port) or (ANY_ADDRESS, 25)
    return [_as_listener(name, entry, usual[0], found) for name, entry in entries.items()]


def _as_listener(
    name: str, entry: Entry | None, usual_address: str, found: PostfixFiles
) -> ListenerState:
    service = SERVICES[name]
    where = (entry and entry.address_and_port) or (usual_address, service.port)
    is_clear = name == "smtp" and entry is not None and not _offers_tls(entry, found)
    return ListenerState(
        service=name,
        is_enabled=entry is not None,
        address=where[0],
        port=where[1],
        tls_mode=TlsMode.NONE if is_clear else service.usual_tls_mode,
        is_login_required=service.is_login_expected,
    )


def _offers_tls(entry: Entry, found: PostfixFiles) -> bool:
    return tls_level(main_cf.read_parameters(found.main_cf) | entry.options) != "none"


def tls_level(settings: Mapping[str, str]) -> str:
    """Return ``none``, ``may`` or ``encrypt``, by the level or by what it took the place of."""
    level = settings.get("smtpd_tls_security_level", "")
    if level:
        return level if level in {"may", "encrypt"} else "none"
    if settings.get("smtpd_enforce_tls") == "yes":
        return "encrypt"
    return "may" if settings.get("smtpd_use_tls") == "yes" else "none"


def entry_on_port(text: str, port: int) -> Entry | None:
    """Return the service that has a port, as Postfix chooses it; None if there is none."""
    entries = ((entry, entry.address_and_port) for entry in master_cf.read_entries(text))
    return master_cf.find_effective(entry for entry, where in entries if where and where[1] == port)


def _own_entry(found: PostfixFiles, service: str) -> Entry | None:
    return next(iter(master_cf.read_entries(_block_section(found.master_cf, service))), None)


def read_certificate_settings(found: PostfixFiles) -> list[str]:
    """Return the files that main.cf names for keys and certificates, also where set aside."""
    names = ("smtpd_tls_chain_files", *OLD_CERTIFICATES)
    files: list[str] = []
    for text in (found.main_cf, block.remove_block(found.main_cf)):
        settings = main_cf.read_parameters(text)
        values = " ".join(settings.get(name, "") for name in names)
        files += values.replace(",", " ").split()
    return list(dict.fromkeys(files))
