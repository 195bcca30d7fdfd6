-- The governor in Redis: the same steps, in the same order, as `domain::governor`, so that a double comes out the same to the last bit.
-- Whoever changes one changes the other; a test runs both. Each script is this file and one of take.lua, give.lua and look.lua.

local FIELDS = {
  'tat', 'blocked_until', 'rate', 'ceiling', 'step', 'changed_at', 'served', 'cut_at', 'epoch_at', 'epoch_served', 'epoch_blocked',
  'refusals', 'scale', 'cost', 'concurrency', 'concurrency_at', 'concurrency_wait', 'concurrency_served', 'left', 'left_at',
  'trial', 'trial_served', 'trial_refused', 'whim', 'pardon', 'window_from', 'window_at', 'window_served', 'closed_at',
}
-- A bucket that nobody used for so long is forgotten, ms: longer than anything blocks.
local TTL = 172800000

-- Redis's own time, so that workers' clocks do not matter; a test says its own.
local function clock(given)
  given = tonumber(given)
  if given > 0 then return given end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
end

local function exact(number)
  return string.format('%.17g', number)
end

local function load(key)
  local b, at = {}, 1
  for number in string.gmatch(redis.call('GET', key) or '', '%S+') do
    if FIELDS[at] then b[FIELDS[at]] = tonumber(number) end
    at = at + 1
  end
  for _, field in ipairs(FIELDS) do b[field] = b[field] or 0 end
  return b
end

local function save(key, b)
  local numbers = {}
  for at, field in ipairs(FIELDS) do numbers[at] = exact(b[field]) end
  redis.call('SET', key, table.concat(numbers, ' '), 'PX', TTL)
end

-- Reads what a bucket allows from ARGV, and where the rest of it begins.
local function allowance(at)
  local a = { per_s = tonumber(ARGV[at]), burst = tonumber(ARGV[at + 1]), concurrency = tonumber(ARGV[at + 2]), keep = tonumber(ARGV[at + 3]) }
  return a, at + 4
end

local function cap(b, a)
  if b.scale > 0 then return a.per_s * b.scale end
  return a.per_s
end

local function pace(b, a)
  local cap, scale = cap(b, a), 1
  if b.scale > 0 then scale = b.scale end
  local rate, burst, concurrency = cap, 1, a.concurrency
  if b.rate > 0 then rate = b.rate end
  if cap > 0 then
    local share = math.min(rate / cap, 1)
    burst = math.max(a.burst * scale * share * a.keep, 1)
  end
  if b.concurrency > 0 and (a.concurrency == 0 or b.concurrency < a.concurrency) then concurrency = b.concurrency end
  return rate * a.keep, burst, concurrency
end

local function tokens_of(b, a, given)
  local tokens = 10
  if given >= 0 then
    tokens = given
  elseif b.cost > 0 then
    tokens = b.cost
  end
  local _, burst = pace(b, a)
  return math.min(tokens, burst)
end

local function wait_of(b, a, given, now)
  local per_s, burst = pace(b, a)
  local wait = b.blocked_until - now
  if per_s > 0 then
    local each = 1000 / per_s
    local back = math.max(b.tat, now) + tokens_of(b, a, given) * each - burst * each - now
    wait = math.max(wait, back)
  end
  return wait
end

local function take(b, a, given, now)
  local per_s = pace(b, a)
  if per_s > 0 then b.tat = math.max(b.tat, now) + tokens_of(b, a, given) * (1000 / per_s) end
  if b.refusals >= 2 then b.blocked_until = math.max(b.blocked_until, now) + 1000 end
end

local function note(b, a, h, now)
  if h.scale > 0 and cap(b, a) > 0 then b.scale = h.scale end
  local per_s, burst = pace(b, a)
  if h.spent >= 0 then
    if b.cost > 0 then b.cost = b.cost * 0.8 + h.spent * 0.2 else b.cost = h.spent end
    if per_s > 0 then b.tat = math.max(b.tat, now) + (h.spent - h.tokens) * (1000 / per_s) end
  end
  if h.left >= 0 and a.per_s > 0 then
    b.left = h.left
    b.left_at = now
    local room = burst / a.keep
    local ours = math.min(math.max(h.left - room * (1 - a.keep), 0), burst)
    b.tat = math.max(b.tat, now + (burst - ours) * (1000 / per_s))
  end
end

local function grow_at_once(b, a, h, now)
  if b.concurrency == 0 then return end
  if h.in_flight < b.concurrency then return end
  b.concurrency_served = b.concurrency_served + 1
  local is_long = now - b.concurrency_at >= b.concurrency_wait
  if is_long and b.concurrency_served >= 20 * b.concurrency then
    b.concurrency = b.concurrency + 1
    b.concurrency_at = now
    b.concurrency_served = 0
    b.concurrency_wait = math.max(b.concurrency_wait / 1.5, 2000)
    if b.concurrency >= a.concurrency then b.concurrency = 0 end
  end
end

local function answered(b, now)
  if b.refusals >= 2 then
    b.blocked_until = math.min(b.blocked_until, now)
    b.epoch_blocked = b.epoch_blocked + math.max(now - b.cut_at, 0)
  end
end

local function begin_window(b, from, at)
  b.window_from = from
  b.window_at = at
  b.window_served = 0
end

local function least(b, a)
  local cap = cap(b, a)
  if cap > 0 then return cap * 0.02 end
  return 0.1
end

local function resumed(b, a, h)
  local shortest, longest = b.closed_at - b.window_at, h.sent_at - b.window_from
  local is_known = shortest >= 10000 and longest <= 130000 and longest <= 2 * shortest
  local is_cut = b.rate > 0 and b.epoch_at >= b.window_at and b.whim == 0
  local open = b.epoch_at - b.window_at
  local is_full = b.window_served > 0 and b.window_served * 1000 >= 0.5 * b.rate * a.keep * open
  if is_known and is_cut and is_full then
    local low, high = b.window_served * 1000 / longest, b.window_served * 1000 / shortest
    local rate = math.min(low + (high - low) * 0.1, high * 0.97)
    if rate > b.rate or b.closed_at - b.epoch_at >= 0.05 * longest then
      b.rate = math.max(rate, least(b, a))
      b.ceiling = math.max(high, b.rate)
    end
  end
  begin_window(b, b.closed_at, h.sent_at)
end

local function go_evenly(b, a, from)
  local per_s, burst = pace(b, a)
  b.tat = math.max(b.tat, from + (burst - 1) * (1000 / per_s))
end

local function served(b, a, h, now)
  if h.sent_at >= b.cut_at then
    answered(b, now)
    if b.refusals > 0 then
      resumed(b, a, h)
      if b.rate > 0 then go_evenly(b, a, now) end
    end
    b.refusals = 0
  end
  b.window_served = b.window_served + h.tokens
  b.epoch_served = b.epoch_served + h.tokens
  b.pardon = math.min(b.pardon + b.whim * 2, 3)
  b.whim = b.whim * 0.9998
  grow_at_once(b, a, h, now)
  if b.rate == 0 then
    if now - b.epoch_at > 10000 then
      b.epoch_at = now
      b.epoch_served = 0
    end
    return
  end
  b.served = b.served + h.tokens
  local elapsed = now - b.changed_at
  local is_used = b.served * 1000 >= 0.7 * b.rate * a.keep * elapsed
  local near = b.ceiling * 0.97
  if b.rate < near * 0.99 then
    if elapsed >= 3000 and b.served >= 10 * h.tokens then
      if is_used then b.rate = b.rate + (near - b.rate) * 0.25 end
      b.changed_at = now
      b.served = 0
    end
  elseif elapsed >= 20000 and b.served >= 200 * h.tokens then
    if is_used then
      b.rate = b.rate * (1 + b.step)
      b.ceiling = math.max(b.ceiling, b.rate)
      b.step = math.min(b.step * 1.3, 0.25)
    end
    b.changed_at = now
    b.served = 0
  end
  local cap = cap(b, a)
  if cap > 0 and b.rate >= cap then
    b.rate = 0
    b.epoch_at = now
    b.epoch_served = 0
  end
end

local function is_at_once(b, a, h, now)
  if a.concurrency == 0 or h.in_flight < 2 or h.retry_after >= 0 then return false end
  if b.concurrency > 0 and h.in_flight <= b.concurrency and b.concurrency_served >= 10 then return false end
  local per_s, burst = pace(b, a)
  return per_s == 0 or math.max(b.tat - now, 0) * per_s < 0.5 * burst * 1000
end

local function cut_at_once(b, h, now)
  local fewer = math.max(math.min(math.ceil(h.in_flight * 0.75), h.in_flight - 1), 1)
  if b.concurrency > 0 then fewer = math.min(b.concurrency, fewer) end
  b.concurrency = fewer
  b.concurrency_wait = math.min(math.max(b.concurrency_wait * 2, 2000), 300000)
  b.concurrency_at = now
  b.concurrency_served = 0
  b.cut_at = now
end

local function is_vain(b, h, old, was_served)
  if b.epoch_served >= 1000 * h.tokens or old > b.trial then
    b.trial = 0
    if was_served then b.trial = old end
    b.trial_served = 0
    b.trial_refused = 0
    return false
  end
  b.trial_served = b.trial_served + b.epoch_served
  if was_served then b.trial_refused = b.trial_refused + 1 end
  if b.trial_refused < 5 or old > b.trial * 0.5 then return false end
  b.whim = math.min(b.trial_refused * h.tokens / math.max(b.trial_served, 1), 0.05)
  b.pardon = 3
  return true
end

local function cut(b, a, h, now)
  local cap = cap(b, a)
  local old = cap
  if b.rate > 0 then old = b.rate end
  local elapsed = math.max(now - b.epoch_at, 1)
  local measured = b.epoch_served * 1000 / elapsed
  local is_close = b.cut_at > 0 and b.rate > 0 and elapsed <= 130000
  local is_full = b.epoch_served * 1000 >= 0.5 * old * a.keep * math.max(elapsed - b.epoch_blocked, 0)
  local ceiling = old
  if is_full and b.rate > 0 then ceiling = old * a.keep end
  local rate = ceiling * 0.95
  if old == 0 then
    rate = math.max(measured, 1)
    ceiling = measured
    if measured < 1 then ceiling = 32 end
  elseif is_close and b.epoch_served > 0 and is_full then
    if elapsed >= 30000 and b.epoch_blocked >= 0.5 * elapsed then ceiling = math.min(ceiling, measured * 1.5) end
    rate = math.min(measured + (ceiling - measured) * 0.25, ceiling * 0.97)
  end
  local step = 0.005
  b.whim = 0
  if is_close and is_full and is_vain(b, h, old, measured >= 0.6 * old * a.keep) then
    rate = b.trial
    ceiling = rate * 4
    if cap > 0 then ceiling = cap end
    step = 0.1
    b.trial = 0
  end
  b.rate = math.max(rate, least(b, a))
  b.ceiling = math.max(ceiling, b.rate)
  b.step = step
  b.changed_at = math.max(b.blocked_until, now)
  b.served = 0
  b.epoch_at = now
  b.epoch_served = 0
  b.epoch_blocked = b.blocked_until - now
  go_evenly(b, a, b.changed_at)
end

local function refused(b, a, h, now)
  local is_new = h.sent_at >= b.cut_at
  if is_new then
    answered(b, now)
    b.refusals = b.refusals + 1
    if b.refusals == 2 and b.rate > b.trial * 0.35 then b.trial_refused = b.trial_refused - 2 end
  end
  local is_pardoned = b.pardon >= 1
  if is_new and is_pardoned then b.pardon = b.pardon - 1 end
  if not is_pardoned and is_at_once(b, a, h, now) then
    if is_new then cut_at_once(b, h, now) end
    return
  end
  local pause = math.min(250 * b.refusals * b.refusals, 60000)
  if h.retry_after >= 0 then pause = math.min(h.retry_after, 86400000) end
  local until_ms = math.max(b.blocked_until, now + pause)
  local blocked = until_ms - math.max(b.blocked_until, now)
  b.epoch_blocked = b.epoch_blocked + blocked
  if is_pardoned then b.changed_at = b.changed_at + blocked end
  b.blocked_until = until_ms
  if is_new then
    b.closed_at = now
    if h.retry_after >= 0 then b.closed_at = math.max(now, until_ms - 1000) end
    if b.refusals == 1 and not is_pardoned then cut(b, a, h, now) end
    b.cut_at = b.blocked_until
  end
end

local function hear(b, a, h, now)
  note(b, a, h, now)
  local is_first = b.window_at == 0 and h.verdict > 0
  local is_anew = b.rate == 0 and h.verdict == 1 and now - b.window_at > 60000
  if is_first then
    begin_window(b, h.sent_at, h.sent_at)
  elseif is_anew then
    begin_window(b, 0, h.sent_at)
  end
  if h.verdict == 1 then served(b, a, h, now) end
  if h.verdict == 2 then refused(b, a, h, now) end
end
