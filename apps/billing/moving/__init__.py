"""Moving an existing base in: looked at, loaded, watched for a month, moved by batches, and moved back."""
