DROP TABLE sunsets;
DROP FUNCTION sunsets_missing(text[], text[], timestamptz[], uuid, integer), sunsets_over(text[], text[], timestamptz[], interval, uuid, integer);
