DROP FUNCTION backfills_take(integer, interval);
DROP TABLE backfills;
