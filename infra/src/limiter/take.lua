
-- Takes a call's part of every bucket that it counts in, or of none.
-- KEYS: for each bucket its budget and its leases. ARGV: time (0: Redis's), how long a call may wait with its tokens taken, lease, how long
-- that lasts, all ms; then for each bucket what it allows and the tokens.
local now, ahead, lease, lease_ms = clock(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local parts, longest, is_full, at = {}, 0, false, 5
for i = 1, #KEYS, 2 do
  local p = { key = KEYS[i], leases = KEYS[i + 1], b = load(KEYS[i]), in_flight = 0 }
  p.a, at = allowance(at)
  p.given, at = tonumber(ARGV[at]), at + 1
  local per_s, _, concurrency = pace(p.b, p.a)
  p.per_s, p.tokens, p.wait = per_s, tokens_of(p.b, p.a, p.given), wait_of(p.b, p.a, p.given, now)
  longest = math.max(longest, p.wait)
  if p.a.concurrency > 0 then
    redis.call('ZREMRANGEBYSCORE', p.leases, '-inf', exact(now))
    p.in_flight = redis.call('ZCARD', p.leases)
    if p.in_flight >= concurrency then is_full = true end
  end
  parts[#parts + 1] = p
end
local granted = longest <= ahead and not is_full
local answer = { granted and '1' or '0', exact(now), exact(longest) }
for _, p in ipairs(parts) do
  if granted then
    take(p.b, p.a, p.given, now)
    save(p.key, p.b)
    if p.a.concurrency > 0 then
      redis.call('ZADD', p.leases, exact(now + lease_ms), lease)
      redis.call('PEXPIRE', p.leases, lease_ms * 2)
      p.in_flight = p.in_flight + 1
    end
  end
  for _, number in ipairs({ p.in_flight, p.tokens, p.per_s, p.wait }) do answer[#answer + 1] = exact(number) end
end
return table.concat(answer, ' ')
