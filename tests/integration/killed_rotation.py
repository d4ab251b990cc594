"""Kills rotations of the master key at every step they have: ``python -m ... USERNAME STRIDE``.

Run by ``test_rotation``. Prints one JSON object: each step as it was named, and what was wrong
after dying there. A step is each call that changes the file or its folder, each statement and
commit in the database; the rotation dies just before it, so also just after the one before.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402  # after the setup, like all below
from django.db.backends.base.base import BaseDatabaseWrapper  # noqa: E402
from django.utils import timezone  # noqa: E402

from mailadmin.accounts.models import User  # noqa: E402
from mailadmin.audit.models import AuditEvent  # noqa: E402
from mailadmin.certificates.rotation import check_custody, rotate_master_key  # noqa: E402
from mailadmin.certificates.sealed_uploads import KeptUpload, open_upload, seal_upload  # noqa: E402
from tests.factories import make_actor  # noqa: E402

_ACTOR = make_actor()
_CALLS = ("open", "fsync", "fchown", "fchmod", "replace", "unlink")


def arm(number: int, tell: Callable[[str], None]) -> None:
    """Let this program die just before its step of that number; 0 for never."""
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        tell(name)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def trap(owner: Any, name: str, words: str) -> None:
        deed = getattr(owner, name)

        def trapped(*arguments: Any, **named: Any) -> Any:
            step(words)
            return deed(*arguments, **named)

        setattr(owner, name, trapped)

    def run(execute: Any, sql: str, *rest: Any) -> Any:
        step(" ".join(sql.split()[:3]))
        return execute(sql, *rest)

    for call in _CALLS:
        trap(os, call, call)
    trap(BaseDatabaseWrapper, "_commit", "commit")
    connection.execute_wrappers.append(run)


def rotate_in_a_child(number: int) -> tuple[bool, list[str]]:
    """Return whether a rotation that is to die at the step came to its end, and its steps."""
    connection.close()
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hear)
            arm(number, lambda name: (os.write(say, f"{name}\n".encode()), None)[1])
            rotate_master_key(actor=_ACTOR)
            os._exit(0)
        finally:
            os._exit(9)
    os.close(say)
    with os.fdopen(hear) as pipe:
        steps = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), (status, steps)
    return status == 0, steps


def look(user: User, token: str) -> list[str]:
    """Return what is wrong: a key that does not open, an upload that is gone."""
    wrong = [item.problem.code for item in check_custody().unopened]
    if open_upload(user=user, token=token, now=timezone.now()) != KeptUpload((b"kept",)):
        wrong.append("upload")
    return wrong


def die_at(number: int, user: User) -> tuple[bool, dict[str, Any]]:
    """Die at the step, look, run again, look again."""
    token = seal_upload(user=user, kept=KeptUpload((b"kept",)), now=timezone.now())
    is_over, steps = rotate_in_a_child(number)
    wrong = look(user, token)
    ended = AuditEvent.objects.filter(verb="master_key.rotated").count()
    is_begun = check_custody().is_rotation_pending
    again, _ = rotate_in_a_child(0)
    wrong += look(user, token)
    custody = check_custody()
    if not again or custody.is_rotation_pending or custody.under_older:
        wrong.append("not finished")
    if AuditEvent.objects.filter(verb="master_key.rotated").count() != ended + 1:
        wrong.append("not recorded")
    return is_over, {"step": steps[-1], "is_pending": is_begun, "wrong": wrong}


def main(username: str, stride: int) -> None:
    """Die at one step after the other until a rotation has no more of them."""
    user = User.objects.get(username=username)
    deaths = []
    for number in range(1, 1000, stride):
        is_over, death = die_at(number, user)
        if is_over:
            break
        deaths.append(death)
    sys.stdout.write(json.dumps(deaths))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
