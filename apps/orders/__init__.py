"""Orders, their fulfilment at providers, and the services that customers have."""
