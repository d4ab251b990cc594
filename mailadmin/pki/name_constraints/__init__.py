"""Name constraints: which names the certificates below an authority may have (RFC 5280 4.2.1.10).

:func:`read_name_constraints` reads what an authority says, :func:`read_names` what a certificate
calls itself, :func:`find_violations` compares the two. Every form of name has an index of its own
(:mod:`~mailadmin.pki.name_constraints.forms`), so that the work grows with the names and not with
names times constraints.
"""

from mailadmin.pki.name_constraints.forms import show_name
from mailadmin.pki.name_constraints.judging import Rule, find_violations, read_names
from mailadmin.pki.name_constraints.reading import NameConstraints, read_name_constraints

__all__ = [
    "NameConstraints",
    "Rule",
    "find_violations",
    "read_name_constraints",
    "read_names",
    "show_name",
]
