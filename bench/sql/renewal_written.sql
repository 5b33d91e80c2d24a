-- What stands of renewals: rows and sums, to compare two sides that had the same to do.
SELECT 'invoices', count(*), sum(total), sum(vat), count(DISTINCT number) FROM billing_invoice
UNION ALL
SELECT 'lines', count(*), sum(amount), sum(vat), sum(discount) FROM billing_invoiceline
UNION ALL
SELECT 'payments', count(*), sum(amount), count(DISTINCT reference_id), 0 FROM payments_payment
UNION ALL
SELECT 'links', count(*), count(DISTINCT invoice_id), 0, 0 FROM billing_invoicepayment
UNION ALL
SELECT 'subscriptions', count(*), sum(price), count(DISTINCT id), 0 FROM billing_subscription
WHERE billed_until > current_date + 20
UNION ALL
SELECT 'references', count(*), 0, 0, 0 FROM connectors_gatewayreference WHERE partner_id = %(partner)s
UNION ALL
SELECT 'transfers', count(*), sum(amount), 0, 0 FROM ledger_transfer WHERE partner_id = %(partner)s
UNION ALL
SELECT 'due', count(*), 0, 0, 0 FROM core_due WHERE partner_id = %(partner)s AND kind = 'payments.send'
UNION ALL
SELECT 'events', count(*), 0, 0, 0 FROM core_event WHERE partner_id = %(partner)s AND type = 'billing.InvoiceIssued'
UNION ALL
SELECT 'search keys', count(*), 0, 0, 0 FROM core_searchkey WHERE partner_id = %(partner)s AND kind = 'billing.Invoice'
