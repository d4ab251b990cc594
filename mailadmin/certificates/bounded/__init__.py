"""Reading and judging what strangers made, in a process of its own that has a second and a half.

A private key can be encrypted with any number of rounds, and certificates can be made to take long
to judge or to break the parser itself. So whatever comes from outside is read by a child, for the
pages and for the command line alike::

    with BoundedReader() as reader:
        parts = reader.read_parts(inputs, password)
        verdict = reader.judge_bundle(parts, now=now, ...)

One reader is for one upload: everything asked of it shares one allowance of :data:`LIMITS`, so
many slow parts are not slower than one. The child runs :mod:`mailadmin.certificates.bounded.child`
and knows only ``pki``: no Django, no database, no settings, no environment. It is killed when its
time is over and when the reader is closed; it ends by itself when its parent is gone.

- **What is checked inside**: all that :func:`mailadmin.pki.bundle.read_parts` and
  :func:`~mailadmin.pki.bundle.judge_bundle` call. A rule that may be slow (such as a search for
  weak keys) belongs there, and needs nothing of this package.
- **Another question** is one more :class:`~mailadmin.certificates.bounded.questions.Question` in
  ``questions.py``: a frozen dataclass of what is asked, the type of the answer, and a function of
  ``pki``.
- **What passes the pipe** is JSON that is checked against the types of those dataclasses
  (:mod:`mailadmin.certificates.bounded.wire`); a field added to ``CertificateFacts`` needs nothing
  here, a field of a type that the wire does not know fails the tests at once. It is not pickle,
  with which a child that was taken over could run code in its parent.

What keeps an answer from coming is a problem like any other (all errors):

========================  ======================================================================
code                      params
========================  ======================================================================
reading.too_slow          seconds
reading.too_much_memory   limit (MiB)
reading.broken_off        the child died, or what it said makes no sense
reading.not_started       no child could be started
========================  ======================================================================
"""

from mailadmin.certificates.bounded.limits import LIMITS, Limits
from mailadmin.certificates.bounded.reader import (
    BoundedReader,
    ReadingProblem,
    find_stop,
    read_foreign_csr,
    read_offered,
    read_parts,
)

__all__ = [
    "LIMITS",
    "BoundedReader",
    "Limits",
    "ReadingProblem",
    "find_stop",
    "read_foreign_csr",
    "read_offered",
    "read_parts",
]
