"""Zip files: unpacked within bounds, whatever they claim."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.zips import MAX_MEMBER_BYTES, MAX_TOTAL_BYTES, ZipContent, is_zip, read_zip


def pack(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def noise(length: int) -> bytes:
    """Return bytes that cannot be packed."""
    return b"".join(
        hashlib.sha512(number.to_bytes(4)).digest() for number in range(length // 64 + 1)
    )


def codes(content: ZipContent) -> list[str]:
    return [problem.code for problem in content.problems]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_unpacked_and_what_systems_add_is_left_out(method: int) -> None:
    content = pack(
        {
            "chain/": b"",
            "chain/a.crt": b"certificate",
            "b.key": b"key",
            "__MACOSX/._b.key": b"resource",
            ".DS_Store": b"junk",
            "empty": b"",
            "manual.pdf": noise(MAX_MEMBER_BYTES + 1),
        },
        method,
    )
    assert is_zip(content)
    members = read_zip(content).members
    assert [(member.name, member.content) for member in members] == [
        ("chain/a.crt", b"certificate"),
        ("b.key", b"key"),
    ]
    assert codes(read_zip(content)) == []


def test_an_empty_zip_file_holds_nothing() -> None:
    assert is_zip(pack({}))
    assert read_zip(pack({})) == ZipContent()


def test_names_are_shown_cut_and_printable() -> None:
    (member,) = read_zip(pack({"x" * 300 + "\x1b[31m": b"a"})).members
    assert len(member.name) == 100
    assert member.name.isprintable()
    assert "\ufffd[31m" in member.name


@pytest.mark.parametrize(
    ("members", "code", "limit"),
    [
        ({f"{number}.crt": b"x" for number in range(61)}, "zip.too_many_files", 60),
        ({f"{n}": noise(220_000) for n in range(5)}, "zip.too_large", 1024),
        ({"bomb": bytes(MAX_MEMBER_BYTES)}, "zip.too_large", 1024),
    ],
)
def test_what_would_unpack_to_too_much_is_refused(
    members: dict[str, bytes], code: str, limit: int
) -> None:
    content = read_zip(pack(members))
    assert content.members == ()
    assert codes(content) == [code]
    assert content.problems[0].params == {"limit": limit}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_named_with_their_member(method: int) -> None:
    content = read_zip(pack({"a.crt": b"abc"}, method))
    assert codes(content) == ["zip.method"]
    assert content.problems[0].params == {"member": "a.crt"}


def test_a_locked_member_is_named() -> None:
    content = bytearray(pack({"a.crt": b"abc"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    found = read_zip(bytes(content))
    assert codes(found) == ["zip.encrypted"]
    assert found.problems[0].params == {"member": "a.crt"}


def test_a_member_larger_than_it_says_is_damage() -> None:
    content = bytearray(pack({"a.crt": b"x" * 100_000}))
    for signature, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(signature) + size
        content[at : at + 4] = (10).to_bytes(4, "little")
    assert codes(read_zip(bytes(content))) == ["zip.unreadable"]


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x03\x04" + bytes(1000), b"PK\x05\x06"])
def test_a_damaged_zip_file_is_told(content: bytes) -> None:
    assert is_zip(content)
    assert codes(read_zip(content)) == ["zip.unreadable"]


@given(st.data())
def test_damage_is_told_and_never_raised(data: st.DataObject) -> None:
    content = bytearray(pack({"a.crt": b"certificate", "b/c.key": b"key" * 50}))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    found = read_zip(bytes(content))
    assert sum(len(member.content) for member in found.members) <= MAX_TOTAL_BYTES


def test_thousands_of_members_take_moments() -> None:
    content = pack({f"{number}": b"" for number in range(2600)}, zipfile.ZIP_STORED)
    before = time.process_time()
    read_zip(content)
    assert time.process_time() - before < 2
