"""Pure answers about certificates by ACME: when, from whom, how proven, what went wrong."""
