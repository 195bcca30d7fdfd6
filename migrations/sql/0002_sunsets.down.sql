DROP TABLE sunsets;
DROP FUNCTION connectors_in_use();
DROP FUNCTION sunsets_missing(text[], text[], timestamptz[], uuid, integer), sunsets_over(text[], text[], timestamptz[], interval, uuid, integer);
