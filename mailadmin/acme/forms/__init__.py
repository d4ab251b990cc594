"""What people type about accounts, DNS accesses and certificates to be had."""
