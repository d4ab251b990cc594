"""What of main.cf and master.cf the panel answers for; the rest is the admin's own business."""

from __future__ import annotations

from mailadmin.mailconf import block, diff, material, postfix
from mailadmin.mailconf.postfix import PostfixFiles
from tests.states import make_material, with_default
from tests.unit.mailconf.builders import all_open

MAIN_CF = "# by hand\nmyhostname = mail.example.test\nsmtpd_use_tls = yes\n"
MASTER_CF = "25 inet n - y - - smtpd\n587 inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n"


def rendered() -> tuple[PostfixFiles, PostfixFiles]:
    """Return the files of an applied state, and our part of them."""
    state = with_default(all_open(default_certificate=""), make_material("one").certificate)
    files = postfix.render(state, PostfixFiles(MAIN_CF, MASTER_CF), live="/live", map_type="hash")
    return files, postfix.read_owned(state, files)


def test_right_after_rendering_it_is_the_block_alone() -> None:
    files, owned = rendered()
    for whole, part in ((files.main_cf, owned.main_cf), (files.master_cf, owned.master_cf)):
        assert whole.endswith(part)
        assert part.startswith(block.BEGIN)
        assert part.endswith(f"{block.END}\n")


def test_outside_of_the_block_only_what_is_about_the_same_counts() -> None:
    state = with_default(all_open(default_certificate=""), make_material("one").certificate)
    text = "# x\nother = 1\nsmtpd_tls_cert_file =\n# a comment inside\n  /some/file\nmore = 2\n"
    owned = postfix.read_owned(state, PostfixFiles(text, f"{MASTER_CF}2525 inet n - y - - smtpd\n"))
    assert owned.main_cf == "smtpd_tls_cert_file =\n  /some/file\n"
    assert owned.master_cf == "25 inet n - y - - smtpd\n587 inet n - y - - smtpd\n"


def test_without_a_certificate_of_ours_the_admins_own_are_his() -> None:
    text = "smtpd_tls_cert_file = /some/file\n"
    owned = postfix.read_owned(all_open(default_certificate=""), PostfixFiles(text, ""))
    assert owned == PostfixFiles("", "")


def test_a_lost_end_mark_is_seen() -> None:
    files, owned = rendered()
    cut = files.main_cf.replace(f"{block.END}\n", "")
    assert block.keep_own(cut, lambda line: False) == owned.main_cf.replace(f"{block.END}\n", "")


def test_the_order_of_block_and_lines_outside_is_kept() -> None:
    text = f"a = 1\n{block.BEGIN}\na = 2\n{block.END}\na = 3\nb = 1\n"
    kept = block.keep_own(text, lambda line: line.startswith("a"))
    assert kept == f"a = 1\n{block.BEGIN}\na = 2\n{block.END}\na = 3\n"


def test_a_diff_can_say_what_its_sides_are() -> None:
    shown = diff.compare("main.cf", "a\n", "b\n", ("as applied", "now"))
    assert shown is not None
    assert shown.lines[:2] == ("--- main.cf\tas applied", "+++ main.cf\tnow")


def test_the_paragraphs_of_a_manifest_are_found_by_their_file() -> None:
    state = with_default(all_open(default_certificate=""), make_material("one").certificate)
    found = material.paragraphs(material.manifest(state))
    assert list(found) == [material.DEFAULT]
    assert state.default_certificate in found[material.DEFAULT]
    assert material.paragraphs("") == {}
