
-- How buckets stand: the time; then of each bucket the calls under way and its numbers. KEYS: as of take. ARGV: time (0: Redis's).
local now = clock(ARGV[1])
local answer = { exact(now) }
for i = 1, #KEYS, 2 do
  local b = load(KEYS[i])
  answer[#answer + 1] = exact(redis.call('ZCOUNT', KEYS[i + 1], exact(now), '+inf'))
  for _, field in ipairs(FIELDS) do answer[#answer + 1] = exact(b[field]) end
end
return table.concat(answer, ' ')
