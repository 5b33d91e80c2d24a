"""An SMTP server that keeps every letter for a human or a test to read."""
