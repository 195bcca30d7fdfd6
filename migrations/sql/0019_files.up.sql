-- Files that a poll found in its folder, each version of each once. A row is how far it came: whoever dies, the next one goes on behind the last
-- record that was committed.
CREATE TABLE files (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    poll_id        uuid NOT NULL REFERENCES polls ON DELETE CASCADE,
    name           text NOT NULL COLLATE "C",
    size           bigint NOT NULL,
    modified_at    timestamptz NOT NULL,                -- By the clock of the machine that it lies on.
    state          text NOT NULL DEFAULT 'noticed'
                   CHECK (state IN ('noticed', 'reading', 'read', 'done', 'unreadable', 'lost')),
    noticed_at     timestamptz NOT NULL DEFAULT now(),  -- By ours: since then it is as it is.
    hash           bytea,                               -- Of its bytes; SHA-256.
    manner         bytea,                               -- Hash of how it is read: with other settings its records are other ones.
    repeats        uuid,                                -- The file of the same name and bytes that was taken before.
    position       bigint NOT NULL DEFAULT 0,           -- Records that are taken.
    brought        bigint NOT NULL DEFAULT 0,           -- Of them those that became messages to be received,
    refused        bigint NOT NULL DEFAULT 0,           -- and those that could not be read.
    failure        text,
    begun_at       timestamptz,
    read_at        timestamptz,                         -- All of it is here.
    ended_at       timestamptz,                         -- And it was put away.
    UNIQUE (poll_id, name, size, modified_at),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX files_list ON files (tenant_id, id);
CREATE INDEX files_open ON files (poll_id) WHERE state IN ('noticed', 'reading', 'read');
CREATE INDEX files_same ON files (poll_id, name, hash) WHERE hash IS NOT NULL;

DO $$
BEGIN
    ALTER TABLE files ENABLE ROW LEVEL SECURITY;
    ALTER TABLE files FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON files USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
    GRANT SELECT, INSERT, UPDATE, DELETE ON files TO crossdock_app;
END $$;
