"""YooKassa API v3: payments, saved methods, refunds, webhooks, and the page where a customer pays."""
