"""Who used which service, read from the mail log. Pure: lines and the time zone are arguments."""
