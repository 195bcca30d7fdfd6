DROP FUNCTION plan_agree(text, date, jsonb), invoices_take(integer, interval), invoice_begin(date), invoice_close(uuid, date, text, text, jsonb),
    invoice_find(bigint), invoice_credit(uuid, bigint, text, jsonb), invoice_due_at(date), invoice_number();
DROP TABLE invoices, invoice_numbers, plan_agreements, billing_accounts;
DROP FUNCTION invoice_stays();
