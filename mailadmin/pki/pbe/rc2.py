"""The RC2 cipher (RFC 2268) in CBC mode: decryption only, for PKCS#12 files of old programs.

Windows and OpenSSL before 3.0 encrypted certificates with RC2 of 40 bits, and ``cryptography``
knows only that of 128 bits. Nothing here resists anybody; it is used to read, never to write.
"""

from __future__ import annotations

import struct

BLOCK_BYTES = 8
_WORDS = 64
_MASK = 0xFFFF
_BYTE = 0xFF
# The substitution table of RFC 2268, section 2: the digits of pi, shuffled.
_PI = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)
_ROTATIONS = (1, 2, 3, 5)


def decrypt_cbc(key: bytes, effective_bits: int, iv: bytes, ciphertext: bytes) -> bytes:
    """Decrypt whole blocks; the padding stays. Lengths are the caller's to check."""
    schedule = expand_key(key, effective_bits)
    previous, plain = iv, bytearray()
    for at in range(0, len(ciphertext), BLOCK_BYTES):
        block = ciphertext[at : at + BLOCK_BYTES]
        clear = decrypt_block(schedule, block)
        plain += bytes(left ^ right for left, right in zip(clear, previous, strict=True))
        previous = block
    return bytes(plain)


def expand_key(key: bytes, effective_bits: int) -> tuple[int, ...]:
    """Expand a key of 1 to 128 bytes to 64 words (RFC 2268, section 2)."""
    length = len(key)
    effective_bytes = (effective_bits + 7) // 8
    mask = _BYTE >> (8 * effective_bytes - effective_bits)
    table = bytearray(key)
    for at in range(length, 2 * _WORDS):
        table.append(_PI[(table[at - 1] + table[at - length]) & _BYTE])
    first = 2 * _WORDS - effective_bytes
    table[first] = _PI[table[first] & mask]
    for at in range(first - 1, -1, -1):
        table[at] = _PI[table[at + 1] ^ table[at + effective_bytes]]
    return struct.unpack("<64H", table)


def decrypt_block(schedule: tuple[int, ...], block: bytes) -> bytes:
    """Decrypt one block: five mixing rounds backwards, a mash, six, a mash, five (section 4)."""
    words = list(struct.unpack("<4H", block))
    at = _WORDS - 1
    for rounds, is_mashed in ((5, True), (6, True), (5, False)):
        for _ in range(rounds):
            at = _unmix(words, schedule, at)
        if is_mashed:
            for number in (3, 2, 1, 0):
                words[number] = (words[number] - schedule[words[number - 1] & 63]) & _MASK
    return struct.pack("<4H", *words)


def _unmix(words: list[int], schedule: tuple[int, ...], at: int) -> int:
    """Undo one mixing round and return where the next one takes its key words."""
    for number in (3, 2, 1, 0):
        rotation = _ROTATIONS[number]
        turned = (words[number] >> rotation | words[number] << (16 - rotation)) & _MASK
        before, two_before, three_before = words[number - 1], words[number - 2], words[number - 3]
        mixed = schedule[at] + (before & two_before) + (~before & three_before & _MASK)
        words[number] = (turned - mixed) & _MASK
        at -= 1
    return at
