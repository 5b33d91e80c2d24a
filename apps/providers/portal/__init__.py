"""A provider's own access: its keys and people, what is asked of it, and what it may ask."""
