DROP FUNCTION user_find(text, text), user_rehash(uuid, text, text), user_password_set(uuid, text, uuid), user_address(uuid),
    mailed_token_make(uuid, bytea, text, timestamptz), mailed_token_use(bytea, text), invitation_find(bytea),
    invitation_accept(bytea, uuid, text, text);
DROP TABLE mailed_tokens, invitations;
ALTER TABLE users DROP COLUMN email_verified_at;
