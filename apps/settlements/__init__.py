"""Money between banks, gateways and us: statements, and what is settled by them."""
