"""SMS Aero API v2: sends short messages into a list that a human and a test can read."""
