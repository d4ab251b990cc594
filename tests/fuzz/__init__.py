"""Looking for uploads that break the reader."""
