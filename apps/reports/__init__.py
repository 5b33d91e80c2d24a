"""What staff look at: dashboard, navigation, search and reports over the ledger."""
