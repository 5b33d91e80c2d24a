"""One way to plug in everything outside: connections, the HTTP client, incoming messages."""
