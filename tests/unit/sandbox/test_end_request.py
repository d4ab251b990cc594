"""Being told to end, once or a thousand times."""

from __future__ import annotations

import subprocess
import sys
import time

from mailadmin.sandbox.end_request import EndRequest

# Every call in the handler's way is a place where the next signal comes: it is sent from there.
_STORM = """
import os, signal, sys
from mailadmin.sandbox.end_request import EndRequest

request = EndRequest.on_signals()
left = [6]

def trace(frame, event, argument):
    if left[0] and frame.f_code.co_name in {"set", "notify_all", "__enter__"}:
        left[0] -= 1
        os.kill(os.getpid(), signal.SIGTERM)
    return trace

sys.settrace(trace)
os.kill(os.getpid(), signal.SIGTERM)
print(request.wait(60), left[0])
"""


def test_a_signal_within_a_signal_ends_too() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _STORM], capture_output=True, text=True, timeout=90, check=True
    )
    assert ended.stdout == "True 0\n"


def test_it_waits_until_somebody_asks() -> None:
    request = EndRequest()
    assert not request.is_set()
    assert not request.wait(0.01)
    request.set()
    began = time.monotonic()
    assert request.wait(100)
    assert request.wait(100)
    assert request.is_set()
    assert time.monotonic() - began < 60


def test_asking_more_often_than_the_pipe_holds_is_harmless() -> None:
    request = EndRequest()
    for _ in range(100_000):
        request.set()
    assert request.wait(0)
