-- How often somebody may ask: the same steps, in the same order, as `domain::quota`, so that a double comes out the same to the last bit.
-- KEYS: what is kept of them. ARGV: time (0: Redis's) ms, calls a minute, calls at once, calls wanted.
local now, keep = tonumber(ARGV[1]), 1
-- A test says its own time, which Redis's clock for what expires knows nothing of.
if now > 0 then keep = 86400000 end
if now <= 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
end
local interval = 60000 / tonumber(ARGV[2])
local most, calls = interval * tonumber(ARGV[3]), tonumber(ARGV[4])
local kept = tonumber(redis.call('GET', KEYS[1]) or '0')
local was = math.min(math.max(kept, now), now + most)
local wanted = math.max(was + calls * interval, now)
local granted = calls <= 0 or wanted - now <= most + interval * 1e-6
local back_at = was
if granted then back_at = wanted end
if back_at > now and back_at ~= kept then
  -- Gone by itself when it says nothing any more.
  redis.call('SET', KEYS[1], string.format('%.17g', back_at), 'PX', math.ceil(back_at - now) + keep)
elseif back_at <= now and kept > 0 then
  redis.call('DEL', KEYS[1])
end
local left = math.max(math.floor((most - (back_at - now)) / interval + 1e-6), 0)
local wait = 0
if left < 1 then wait = math.max(back_at + interval - now - most, 0) end
return string.format('%d %d %.17g %.17g', granted and 1 or 0, left, wait, back_at - now)
