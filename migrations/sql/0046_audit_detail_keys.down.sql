DROP TABLE audit_detail_keys;
