"""What staff set once and every app reads: message templates, VAT rates, numbering."""
