"""What people do about accounts, DNS accesses, certificates to be had, and orders."""
