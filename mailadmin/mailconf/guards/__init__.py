"""What stands between a port and those who connect: packet filters, and jails of fail2ban."""
