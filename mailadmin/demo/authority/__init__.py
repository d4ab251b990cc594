"""A certificate authority of one's own: Let's Encrypt's Pebble, and the DNS that it asks.

Both come with Debian's package ``pebble``, which starts nothing by itself. They listen on loopback
alone, keep their state in memory, and are told everything by files in one folder.
"""

from mailadmin.demo.authority.dns import ChallengeDns
from mailadmin.demo.authority.options import Options
from mailadmin.demo.authority.pebble import PEBBLE, Pebble
from mailadmin.demo.authority.running import running

__all__ = ["PEBBLE", "ChallengeDns", "Options", "Pebble", "running"]
