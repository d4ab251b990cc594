"""Start the agent: ``python -m mailadmin.agent --config FILE``, as root on the mail host."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from mailadmin.agent.config import AgentConfig, ConfigError
from mailadmin.agent.protocol import AgentError
from mailadmin.agent.server import Agent, AgentServer

logger = logging.getLogger("mailadmin.agent")


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mailadmin.agent", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the agent's JSON file")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s agent %(message)s")
    # Everything the agent creates may hold keys.
    os.umask(0o077)
    try:
        agent = Agent(AgentConfig.load(chosen.config))
        agent.prepare()
        server = AgentServer(agent)
    except ConfigError as error:
        sys.stderr.write(f"The agent cannot start: {error}.\n")
        return 2
    except AgentError as error:
        sys.stderr.write(f"The agent cannot start: {error.problem.code} {error.problem.subject}\n")
        return 1
    for name in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever(), which runs in this very thread.
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown).start())
    logger.info("listening on %s", agent.config.socket)
    with server:
        server.serve_forever(poll_interval=0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
