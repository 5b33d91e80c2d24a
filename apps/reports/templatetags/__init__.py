"""What the templates of reports need."""
