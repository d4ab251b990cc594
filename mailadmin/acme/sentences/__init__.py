"""What the app says, one catalogue for pages, command line and JSON alike."""
