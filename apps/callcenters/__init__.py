"""Call lists, incoming calls and customers' requests."""
