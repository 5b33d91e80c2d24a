"""Three foreign providers, each with a protocol of its own: REST with HMAC, XML, asynchronous with callbacks."""
