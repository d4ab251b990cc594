"""Pages about certificates by ACME, and the panel's own answer to an authority."""
