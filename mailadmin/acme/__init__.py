"""Certificates by ACME: accounts at authorities, orders, their proofs, and renewal without anybody.

Not to be mixed up with the library of the same name, which only :mod:`mailadmin.acme.client`
imports.
"""
