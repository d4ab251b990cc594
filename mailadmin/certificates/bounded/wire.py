"""Values as JSON and back, checked against their declared types.

What comes back from a child is as untrusted as what it read, so every value must have exactly the
type that its dataclass declares, and only dataclasses that are declared are ever built. Bytes are
base64; a private key is unencrypted PKCS#8, which nobody but the two ends of a pipe sees.
"""

from __future__ import annotations

import base64
import json
import struct
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from mailadmin.pki.keys import PrivateKey, load_written_key, private_key_to_der

_PLAIN = (str, int, bool, types.NoneType)
_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size
# What a child's message is, by its first byte.
READY, ANSWERED, OUT_OF_MEMORY = b"r", b"a", b"m"


class WireError(ValueError):
    """A value that is not of its type. It holds nothing of the value."""


@dataclass(frozen=True, slots=True)
class _Codec:
    """How values of one type become JSON values, and come back. ``decode`` raises anything."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def to_wire(value: object, kind: Any) -> bytes:
    """Write a value of that type, with its length before it."""
    content = json.dumps(_codec_of(kind).encode(value), separators=(",", ":")).encode()
    return _LENGTH.pack(len(content)) + content


def from_wire(content: bytes, kind: Any) -> Any:
    """Read a value of that type, without its length.

    Raises :class:`WireError`, or ``MemoryError``.
    """
    codec = _codec_of(kind)
    try:
        return codec.decode(json.loads(content))
    except MemoryError:
        raise
    except Exception:  # of whatever kind: the other end is not to be trusted
        raise WireError("not a value of its type") from None


def read_length(content: bytes) -> int:
    """Return how many bytes follow the first four."""
    length: int = _LENGTH.unpack(content[:LENGTH_BYTES])[0]
    return length


@cache
def _codec_of(kind: Any) -> _Codec:
    """Return the codec of a type. Raises ``TypeError`` for one that the wire does not know."""
    if kind == PrivateKey:
        return _Codec(_encode_key, _decode_key)
    if kind in _PLAIN:
        return _Codec(_keep, _exactly(kind))
    if kind is bytes:
        return _Codec(_encode_bytes, _decode_bytes)
    if kind is datetime:
        return _Codec(datetime.isoformat, datetime.fromisoformat)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _Codec(str, kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass_codec(kind)
    return _composed_codec(get_origin(kind), get_args(kind))


def _composed_codec(origin: Any, arguments: tuple[Any, ...]) -> _Codec:
    if origin in (Union, types.UnionType):
        return _union_codec(arguments)
    if origin is tuple and arguments[1:] == (...,):
        return _series_codec(tuple, _codec_of(arguments[0]))
    if origin in (list, Sequence):
        return _series_codec(list, _codec_of(arguments[0]))
    if origin is frozenset:
        return _series_codec(frozenset, _codec_of(arguments[0]))
    if origin is Mapping and arguments[0] is str:
        return _mapping_codec(_codec_of(arguments[1]))
    raise TypeError(f"the wire does not know {origin}")


def _dataclass_codec(kind: type) -> _Codec:
    hints = get_type_hints(kind)
    parts = {field.name: _codec_of(hints[field.name]) for field in fields(kind)}

    def encode(value: Any) -> dict[str, Any]:
        return {name: codec.encode(getattr(value, name)) for name, codec in parts.items()}

    def decode(value: Any) -> Any:
        if value.keys() != parts.keys():
            raise WireError(kind.__name__)
        return kind(**{name: codec.decode(value[name]) for name, codec in parts.items()})

    return _Codec(encode, decode)


def _union_codec(kinds: tuple[Any, ...]) -> _Codec:
    """Values of JSON's own types tell which they are; of other types there may only be one."""
    if not any(kind in _PLAIN for kind in kinds):
        raise TypeError("the wire cannot tell these types apart")
    plain = {kind for kind in kinds if kind in _PLAIN}
    others = tuple(kind for kind in kinds if kind not in plain)
    other_kind: Any = Union[others] if others else types.NoneType  # noqa: UP007 - of a tuple
    other = _codec_of(other_kind)

    def encode(value: Any) -> Any:
        return value if type(value) in plain else other.encode(value)

    def decode(value: Any) -> Any:
        return value if type(value) in plain else other.decode(value)

    return _Codec(encode, decode)


def _series_codec(make: Callable[[Any], Any], codec: _Codec) -> _Codec:
    def encode(values: Any) -> list[Any]:
        return [codec.encode(value) for value in values]

    def decode(values: Any) -> Any:
        return make(codec.decode(value) for value in _exactly(list)(values))

    return _Codec(encode, decode)


def _mapping_codec(codec: _Codec) -> _Codec:
    def encode(values: Any) -> dict[str, Any]:
        return {name: codec.encode(value) for name, value in values.items()}

    def decode(values: Any) -> dict[str, Any]:
        return {name: codec.decode(value) for name, value in _exactly(dict)(values).items()}

    return _Codec(encode, decode)


def _keep(value: Any) -> Any:
    return value


def _exactly(kind: type) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise WireError(kind.__name__)
        return value

    return decode


def _encode_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decode_bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


def _encode_key(key: PrivateKey) -> str:
    return _encode_bytes(private_key_to_der(key))


def _decode_key(value: str) -> PrivateKey:
    return load_written_key(_decode_bytes(value))
