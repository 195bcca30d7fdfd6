-- How often somebody may ask: the same steps, in the same order, as `domain::quota`, so that a double comes out the same to the last bit.
-- KEYS: what is kept of each that the calls count for. ARGV: time (0: Redis's) ms, calls wanted; then of each calls a minute, calls at once.
local now, calls, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), 1
-- A test says its own time, which Redis's clock for what expires knows nothing of.
if now > 0 then keep = 86400000 end
if now <= 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
end
local all, granted = {}, true
for i, key in ipairs(KEYS) do
  local interval = 60000 / tonumber(ARGV[2 * i + 1])
  local most = interval * tonumber(ARGV[2 * i + 2])
  local kept = tonumber(redis.call('GET', key) or '0')
  local was = math.min(math.max(kept, now), now + most)
  local wanted = math.max(was + calls * interval, now)
  local has_room = calls <= 0 or wanted - now <= most + interval * 1e-6
  -- Where one has no room none is spent.
  granted = granted and has_room
  all[i] = { interval = interval, most = most, kept = kept, was = was, wanted = wanted, has_room = has_room }
end
local told = {}
for i, one in ipairs(all) do
  local back_at = one.was
  if granted then back_at = one.wanted end
  if back_at > now and back_at ~= one.kept then
    -- Gone by itself when it says nothing any more.
    redis.call('SET', KEYS[i], string.format('%.17g', back_at), 'PX', math.ceil(back_at - now) + keep)
  elseif back_at <= now and one.kept > 0 then
    redis.call('DEL', KEYS[i])
  end
  local left = math.max(math.floor((one.most - (back_at - now)) / one.interval + 1e-6), 0)
  local wait = 0
  if left < 1 then wait = math.max(back_at + one.interval - now - one.most, 0) end
  told[i] = string.format('%d %d %.17g %.17g', one.has_room and 1 or 0, left, wait, back_at - now)
end
return table.concat(told, ' ')
