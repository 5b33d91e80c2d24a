"""CloudPayments simulator: terminals, API, order page, signed notifications. No code of the client's."""
