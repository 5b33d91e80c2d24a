"""Partners as tenants: schemas, domains, legal entities, contracts, staff roles."""
