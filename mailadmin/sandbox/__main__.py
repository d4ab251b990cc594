"""Keep one sandbox running: ``python -m mailadmin.sandbox FOLDER``, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mailadmin.sandbox.end_request import EndRequest
from mailadmin.sandbox.errors import SandboxError
from mailadmin.sandbox.log_watch import LogWatch
from mailadmin.sandbox.server import Sandbox

_PAUSE = 0.5  # seconds between two looks
# A daemon that died under a change is started by whoever made the change; this is for the rest.
_LOOKS_BEFORE_RESTART = 6


def main(arguments: list[str] | None = None) -> int:
    """Run until told to end; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mailadmin.sandbox", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the mail server lives; made if missing")
    parser.add_argument("--address", help="loopback address of a new one, else a spare one")
    parser.add_argument(
        "--end-with", type=int, metavar="PID", help="end when this is no longer the parent process"
    )
    chosen = parser.parse_args(arguments)
    ending = EndRequest.on_signals()
    try:
        sandbox = Sandbox.create(chosen.folder, address=chosen.address)
        _keep(sandbox, ending, chosen.end_with)
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _keep(sandbox: Sandbox, ending: EndRequest, parent: int | None) -> None:
    try:
        sandbox.start()
        _say(f"Postfix and Dovecot listen on {sandbox.settings.address}")
        _say(f"their logs are {sandbox.postfix_log} and {sandbox.dovecot_log}")
        watches = [LogWatch(sandbox.postfix_log), LogWatch(sandbox.dovecot_log)]
        looks_dead = 0
        # The kernel signals the death of the parent as well, see mailadmin.demo.programs.
        while not ending.wait(_PAUSE) and parent in {None, os.getppid()}:
            for line in [line for watch in watches for line in watch.read_trouble()]:
                _say(line)
            is_whole = sandbox.is_postfix_running() and sandbox.is_dovecot_running()
            looks_dead = 0 if is_whole else looks_dead + 1
            if looks_dead >= _LOOKS_BEFORE_RESTART:
                _restart_dead(sandbox)
                looks_dead = 0
    finally:
        sandbox.stop()


def _restart_dead(sandbox: Sandbox) -> None:
    try:
        for name in sandbox.restart_dead():
            _say(f"{name} had died and was started again")
    except SandboxError as error:
        _say(str(error))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
