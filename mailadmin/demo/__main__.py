"""Run the product on this machine: ``python -m mailadmin.demo``, until Ctrl-C or SIGTERM.

``python -m mailadmin.demo reset`` removes its state instead.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from mailadmin.demo.errors import DemoError
from mailadmin.demo.files import write_private_file
from mailadmin.demo.interrupt import was_make_interrupted
from mailadmin.demo.lock import hold_lock
from mailadmin.demo.password import load_or_create_password
from mailadmin.demo.ports import read_panel_port, refuse_taken_port
from mailadmin.demo.setup import is_prepared, prepare_panel
from mailadmin.demo.stack import Stack
from mailadmin.sandbox import paths
from mailadmin.sandbox.end_request import EndRequest

_USERNAME = "admin"


def main(arguments: list[str] | None = None) -> int:
    """Run the demo, or remove its state; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mailadmin.demo", description=__doc__)
    parser.add_argument("action", nargs="?", choices=["run", "reset"], default="run")
    chosen = parser.parse_args(arguments)
    try:
        refuse_other_users()
        if chosen.action == "reset":
            reset(paths.var_dir())
        else:
            run(paths.var_dir())
    except DemoError as error:
        _say(str(error), sys.stderr)
        return 1
    return 0


def refuse_other_users() -> None:
    """Raise DemoError unless root runs this."""
    if os.geteuid() != 0:
        raise DemoError(
            "The demo starts a mail server, which only root can do. Run it as root: sudo make run"
        )


def run(var: Path) -> None:
    """Run until told to end. Raises DemoError when it cannot start."""
    began = time.monotonic()
    asked_to_end = EndRequest.on_signals()
    port = read_panel_port(os.environ)
    paths.make_open_folder(var)
    with hold_lock(var):
        refuse_taken_port(port)
        stack = Stack(var, panel_port=port, asked_to_end=asked_to_end, say=_say)
        password = load_or_create_password(var / "secrets" / "demo.json")
        card = var / "run.json"
        card.unlink(missing_ok=True)
        try:
            _start(stack, password)
            _write_card(card, stack, password)
            _introduce(stack, password, time.monotonic() - began)
            _wait_for_end(asked_to_end)
        except DemoError:
            # A start that was given up because somebody pressed Ctrl-C is no failure.
            if not asked_to_end.is_set():
                raise
        finally:
            card.unlink(missing_ok=True)
            stack.stop()
    _say("Everything has ended. The state is kept for the next start.")


def _start(stack: Stack, password: str) -> None:
    _say("Starting the mail server, Redis, the agent, the worker and the panel ...")
    if is_prepared(stack):
        stack.start()
    else:
        stack.start(lambda: prepare_panel(stack, password))


def reset(var: Path) -> None:
    """Remove the state of a demo that does not run. Raises DemoError when it runs."""
    if not var.exists():
        _say(f"There is nothing to remove: {var} does not exist.")
        return
    with hold_lock(var):
        # Also ends what a killed demo may have left running.
        stack = Stack(var)
        stack.end_leftovers()
        stack.stop()
        stack.sandbox.remove()
        outside = paths.mail_root(var).parent
        for folder in (outside, stack.run):
            if folder != var:
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(var)
    _say(f"{var} was removed. The next start begins with an empty panel and mailbox.")


def _wait_for_end(asked_to_end: EndRequest) -> None:
    while not asked_to_end.wait(0.2):
        if was_make_interrupted():
            asked_to_end.set()
    _say("Ending ...")


def _write_card(card: Path, stack: Stack, password: str) -> None:
    """Write the file that says where everything is and how to log in."""
    settings = stack.sandbox.settings
    content = {
        "url": stack.panel_url,
        "username": _USERNAME,
        "password": password,
        "mail_host": settings.address,
        "mailbox": {"address": settings.mailbox, "password": settings.mailbox_password},
        "pid": os.getpid(),
    }
    write_private_file(card, json.dumps(content, indent=2) + "\n")


def _introduce(stack: Stack, password: str, seconds: float) -> None:
    settings = stack.sandbox.settings
    ports = ", ".join(str(port) for port in sorted(settings.ports.values()))
    _say(
        f"""
The panel is ready, after {seconds:.1f} seconds.

  Panel        {stack.panel_url}
  User         {_USERNAME}
  Password     {password}

  Mail server  {settings.address}, ports {ports}
  Mailbox      {settings.mailbox}
  Password     {settings.mailbox_password}

  Log          {stack.logbook.path}

Ctrl-C ends it all. `make demo-reset` then removes its state."""
    )


def _say(text: str, stream: object = None) -> None:
    out = sys.stderr if stream is sys.stderr else sys.stdout
    out.write(f"{text}\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
