"""T-Bank simulator: terminals, API v2, payment page with 3-D Secure, signed notifications. No code of the client's."""
