"""Forms of the certificate pages; each module has those of one kind of page."""
