DROP FUNCTION messages_overtake(uuid[], uuid[], text[], text[], uuid[]);
