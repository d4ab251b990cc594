"""Which certificates a group of files serves: those whose key lies among them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from mailadmin.agent.host.files import FileState
from mailadmin.agent.protocol import AgentError
from mailadmin.pki.keys import algorithm_of, public_key_id
from mailadmin.pki.parts import read_parts


def read_leaves(files: Iterable[str]) -> frozenset[str]:
    """Return the fingerprints: one, or an RSA and an ECDSA certificate.

    None where the certificates or their keys cannot be read, and where there are more: which of
    two of one kind a daemon shows is not for us to guess.
    """
    parts = read_parts(read_contents(list(files)), takes_pkcs12=False)
    keys = {public_key_id(key) for key in parts.private_keys}
    leaves = {item.fingerprint: item for item in parts.certificates if item.public_key_id in keys}
    kinds = {algorithm_of(item.key) for item in leaves.values()}
    return frozenset(leaves) if len(kinds) == len(leaves) else frozenset()


def read_contents(files: Sequence[str]) -> list[bytes]:
    """Return what the files hold, each once; what cannot be read is left out."""
    contents: list[bytes] = []
    for name in dict.fromkeys(files):
        with contextlib.suppress(AgentError):
            content = FileState.read(Path(name)).content if name.startswith("/") else None
            contents += [content] if content else []
    return contents
