"""Mass actions: one deed for many subscriptions, its sum shown first, done in the background, a result per row."""
