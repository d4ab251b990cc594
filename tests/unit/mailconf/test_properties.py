"""What holds for every state and every file, however odd."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mailadmin.mailconf import block, dovecot, main_cf, master_cf, postfix
from mailadmin.mailconf.logical_lines import split_lines
from mailadmin.mailconf.plan import describe_changes
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.profiles import KEPT
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from tests.unit.mailconf.builders import LIVE
from tests.unit.mailconf.strategies import main_cf_files, master_cf_files, states

files = st.builds(PostfixFiles, main_cf_files, master_cf_files)
some = settings(deadline=None)


def render(state: DesiredState, found: PostfixFiles) -> PostfixFiles:
    return postfix.render(state, found, live=LIVE, map_type="hash")


@some
@given(states(), files)
def test_rendering_twice_is_rendering_once(state: DesiredState, found: PostfixFiles) -> None:
    once = render(state, found)
    assert render(state, once) == once


@some
@given(states(), states(), files)
def test_without_the_panel_the_files_are_as_before(
    state: DesiredState, other: DesiredState, found: PostfixFiles
) -> None:
    rendered = render(other, render(state, found))
    assert not block.is_damaged(rendered.main_cf)
    assert not block.is_damaged(rendered.master_cf)
    assert block.remove_block(rendered.main_cf) == found.main_cf
    assert block.remove_block(rendered.master_cf) == found.master_cf


@some
@given(states(), files)
def test_no_foreign_line_is_changed_or_moved(state: DesiredState, found: PostfixFiles) -> None:
    rendered = render(state, found)
    for before, after in (
        (found.main_cf, rendered.main_cf),
        (found.master_cf, rendered.master_cf),
    ):
        outside, _, _ = after.partition(block.BEGIN)
        was, now = split_lines(before), split_lines(outside)
        assert len(was) == len(now)
        for old, new in zip(was, now, strict=True):
            # Only the line feed that the last line may lack is added, and our mark before it.
            assert new.removeprefix(block.SET_ASIDE).rstrip("\n") == old.rstrip("\n")


@some
@given(states(), files)
def test_no_foreign_setting_is_changed(state: DesiredState, found: PostfixFiles) -> None:
    before = main_cf.read_parameters(found.main_cf)
    after = main_cf.read_parameters(render(state, found).main_cf)
    ours = {name for name in before.keys() | after.keys() if name.startswith(("smtpd_", "tls_"))}
    assert without(before, ours) == without(after, ours)


@some
@given(states(), files)
def test_no_foreign_service_is_changed(state: DesiredState, found: PostfixFiles) -> None:
    rendered = render(state, found)
    outside = rendered.master_cf.partition(block.BEGIN)[0]
    kept = master_cf.read_entries(outside)
    taken = [item for item in master_cf.read_entries(found.master_cf) if item not in kept]
    assert [item for item in master_cf.read_entries(found.master_cf) if item in kept] == kept
    assert all(item.command == "smtpd" and item.address_and_port for item in taken)


@some
@given(states(), files)
def test_every_open_port_is_a_service_and_no_closed_one_is(
    state: DesiredState, found: PostfixFiles
) -> None:
    codes = {item.code for item in postfix.find_problems(state, found)}
    assume("postfix.service_not_understood" not in codes)
    entries = master_cf.read_entries(block.read_block(render(state, found).master_cf))
    wanted = [
        (item.address, item.port)
        for item in state.enabled_listeners
        if item.definition.daemon is Daemon.POSTFIX
    ]
    assert [item.address_and_port for item in entries] == wanted


@some
@given(states(), files)
def test_closing_and_opening_gives_the_same_services(
    state: DesiredState, found: PostfixFiles
) -> None:
    shut = replace(
        state, listeners=tuple(replace(item, is_enabled=False) for item in state.listeners)
    )
    opened = render(state, found)
    assert render(state, render(shut, opened)) == opened


@some
@given(states(), states(), st.sampled_from([(2, 3), (2, 4)]))
def test_without_listener_changes_dovecot_needs_no_reload(
    state: DesiredState, other: DesiredState, version: tuple[int, int]
) -> None:
    """A port's own certificate may come and go, as long as no clear text is involved."""
    assume(KEPT not in {state.tls_profile, other.tls_profile})
    after = replace(
        state,
        default_certificate=other.default_certificate,
        sni_bindings=other.sni_bindings,
        tls_profile=other.tls_profile,
    )
    old, new = (dovecot.render(item, version=version, live=LIVE) for item in (state, after))
    assert dovecot.reload_part(old) == dovecot.reload_part(new)


@some
@given(states(), st.sampled_from([(2, 3), (2, 4)]))
def test_every_block_of_the_drop_in_is_closed(
    state: DesiredState, version: tuple[int, int]
) -> None:
    depth = 0
    for line in dovecot.render(state, version=version, live=LIVE).splitlines():
        depth += line.endswith("{") - (line.strip() == "}")
        assert depth >= 0
    assert depth == 0


@some
@given(states(), st.booleans(), st.booleans())
def test_a_state_survives_json(state: DesiredState, with_pem: bool, with_key: bool) -> None:
    text = json.dumps(state.as_dict(with_pem=with_pem, with_key=with_key))
    read = DesiredState.from_dict(json.loads(text))
    assert read.digest == state.digest
    assert describe_changes(state, read) == ()
    if with_pem and with_key:
        assert read == state


@some
@given(states())
def test_nothing_changes_between_a_state_and_itself(state: DesiredState) -> None:
    assert describe_changes(state, state) == ()


@some
@given(states(), st.text())
def test_the_digest_knows_no_key(state: DesiredState, key_pem: str) -> None:
    other = state.with_certificates(replace(item, key_pem=key_pem) for item in state.certificates)
    assert other.digest == state.digest


@some
@given(states(), states())
def test_states_that_differ_in_what_is_served_have_another_digest(
    state: DesiredState, other: DesiredState
) -> None:
    if describe_changes(state, other):
        assert state.digest != other.digest


def without(settings: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in names}
