"""Taking an upload apart: whatever was pasted or dropped becomes certificates, keys and problems.

What an input is, is told by its content and never by its name: a zip file, a structure in DER or
BER (a certificate, PKCS#7, PKCS#12, a key, a request), or text with any of these in PEM, or base64
alone. Everything may be mixed.

==========================  ==========  ===========================================================
code                        severity    params
==========================  ==========  ===========================================================
bundle.empty                error
bundle.too_large            error       part, limit (KiB)
bundle.too_many_blocks      error       limit
bundle.too_many_keys        error       limit
bundle.garbage              error, or   part; only a warning when other parts were understood
                            warning
bundle.foreign              the same    part, kind: of another program's file, as in ``formats``
zip.nested                  the same    part, member
bundle.block_unreadable     error       part, line, label
certificate.malformed       error       part, fault, detail: as in ``malformed``
bundle.file_unreadable      error       part, kind: ``pkcs7``
bundle.block_ignored        info        label, count
bundle.several_keys         warning     count
key.*                       error       as in ``keys``; ``key.unreadable`` is told by its block
pkcs12.*                    error       as in ``pkcs12``, and part
zip.*                       error       as in ``zips``, and part
==========================  ==========  ===========================================================

Parts and lines are counted from 1; ``member`` names a file in a zip file. Nothing here raises for
any input.
"""

from mailadmin.pki.parts.formats import MAX_CONTAINER_BYTES, MAX_TEXT_BYTES
from mailadmin.pki.parts.found import FileFound, FileKind, Found, Parts, count_found
from mailadmin.pki.parts.loose import read_loose_keys
from mailadmin.pki.parts.reader import MAX_BLOCKS, MAX_KEYS, read_parts

__all__ = [
    "MAX_BLOCKS",
    "MAX_CONTAINER_BYTES",
    "MAX_KEYS",
    "MAX_TEXT_BYTES",
    "FileFound",
    "FileKind",
    "Found",
    "Parts",
    "count_found",
    "read_loose_keys",
    "read_parts",
]
