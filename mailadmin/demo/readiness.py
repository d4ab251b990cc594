"""Ask the programs whether they do their work. Each question is answered quickly, never raises."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

from celery import Celery

_QUICK = 0.5  # seconds for an answer


def accepts_connections(path: Path) -> bool:
    """Say whether a program listens on this Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_QUICK)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def answers_redis_ping(path: Path) -> bool:
    """Say whether Redis answers, which it does not while it still loads its data."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_QUICK)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def answers_worker_ping(redis_socket: Path) -> bool:
    """Say whether a Celery worker answers over this Redis."""
    if not answers_redis_ping(redis_socket):
        return False
    with Celery("readiness", broker=f"redis+socket://{redis_socket}") as client:
        return bool(client.control.ping(timeout=_QUICK, limit=1))


def answers_http(url: str) -> bool:
    """Say whether the panel shows a page; following its redirects, that is the login page."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http address
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
