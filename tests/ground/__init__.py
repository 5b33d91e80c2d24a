"""The ground: embedded PostgreSQL, the supervisor, and what the commands promise."""
