"""Where a partner sells: channels, their API keys and feeds."""
