
-- Gives a call's leases back and hears what it says of each bucket.
-- KEYS: as of take. ARGV: time (0: Redis's), lease; then for each bucket what it allows and what was heard.
local now, lease, at = clock(ARGV[1]), ARGV[2], 3
for i = 1, #KEYS, 2 do
  local a, h = nil, {}
  a, at = allowance(at)
  for _, field in ipairs({ 'sent_at', 'tokens', 'in_flight', 'verdict', 'retry_after', 'spent', 'left', 'scale' }) do
    h[field] = tonumber(ARGV[at])
    at = at + 1
  end
  if a.concurrency > 0 then redis.call('ZREM', KEYS[i + 1], lease) end
  if h.verdict > 0 or h.spent >= 0 or h.left >= 0 or h.scale > 0 then
    local b = load(KEYS[i])
    hear(b, a, h, now)
    save(KEYS[i], b)
  end
end
return 1
