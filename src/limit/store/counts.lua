-- Takes from every limit of one request, or from none of them if one refuses, by the clock of this server.
--
-- KEYS   One hash for each limit and client: d and t are how much of the rate is used, in microseconds times the rate's
--        number (whole numbers below 2^53, so nothing is ever rounded), and the microsecond at which that was so;
--        n and w are how much of the quota is used, and the second in which its window began.
-- ARGV   Seven for each key: cost, "1" if the limit only watches, requests of the rate, microseconds of its window,
--        burst (0 without a rate), requests of the quota (0 without one), its window (h, d or mo).
-- Answer Seven for each key: 1 if it passes; of the rate what is left, microseconds until it is full, microseconds until
--        the request could pass; of the quota whether it refused, what is left, microseconds until its window ends.

local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000000 + tonumber(clock[2])
local floor, ceil, max = math.floor, math.ceil, math.max

-- Howard Hinnant's civil_from_days, as far as the day of the month.
local function day_of_month(days)
  local of_era = (days + 719468) % 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * of_year + 2) / 153)
  return of_year - floor((153 * month + 2) / 5) + 1
end

-- The seconds in which this window began and the next one will.
local function window(unit)
  if unit == 'h' then return second - second % 3600, second - second % 3600 + 3600 end
  if unit == 'd' then return second - second % 86400, second - second % 86400 + 86400 end
  local today = floor(second / 86400)
  local first = today - day_of_month(today) + 1
  local later = first + 31
  return first * 86400, (later - day_of_month(later) + 1) * 86400
end

local function load(key)
  local fields = redis.call('HMGET', key, 'd', 't', 'n', 'w')
  local at = tonumber(fields[2]) or 0
  if at > now then
    -- The clock was set back. What is used leaks from now on, instead of from when the clock has caught up.
    at = now
    redis.call('HSET', key, 't', string.format('%.0f', now))
  end
  return { d = tonumber(fields[1]) or 0, t = at, n = tonumber(fields[3]) or 0, w = tonumber(fields[4]) or 0 }
end

local answer, counts, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local at = 7 * (i - 1)
  local cost, shadow = tonumber(ARGV[at + 1]), ARGV[at + 2] == '1'
  local number, micros, burst = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local quota, unit = tonumber(ARGV[at + 6]), ARGV[at + 7]
  -- The same key may come twice in a request: the second sees what the first would take.
  local count = counts[key] or load(key)
  local ends = second
  if burst > 0 then
    count.d, count.t = max(0, count.d - (now - count.t) * number), now
    ends = second + ceil((count.d + cost * micros) / number / 1000000)
  end
  if quota > 0 then
    local began, over = window(unit)
    if count.w ~= began then count.n, count.w = 0, began end
    ends = max(ends, over)
    count.over = over
  end
  local wait = 0
  if burst > 0 then wait = ceil(max(0, count.d + cost * micros - burst * micros) / number) end
  local spent = quota > 0 and count.n + cost > quota
  local passes = wait == 0 and not spent
  if passes then
    if burst > 0 then count.d = count.d + cost * micros end
    if quota > 0 then count.n = count.n + cost end
    count.ends = max(count.ends or 0, ends)
    counts[key] = count
  elseif not shadow then
    refused = true
  end
  answer[at + 1] = passes and 1 or 0
  answer[at + 2] = burst > 0 and max(0, floor((burst * micros - count.d) / micros)) or 0
  answer[at + 3] = burst > 0 and ceil(count.d / number) or 0
  answer[at + 4] = wait
  answer[at + 5] = spent and 1 or 0
  answer[at + 6] = quota > 0 and max(0, quota - count.n) or 0
  answer[at + 7] = quota > 0 and count.over * 1000000 - now or 0
end

if not refused then
  for key, count in pairs(counts) do
    -- Numbers as %.0f: Lua itself would print 14 digits and round the rest away.
    local function whole(number) return string.format('%.0f', number) end
    redis.call('HSET', key, 'd', whole(count.d), 't', whole(count.t), 'n', whole(count.n), 'w', whole(count.w))
    redis.call('PEXPIRE', key, whole((count.ends - second + 1) * 1000))
  end
end
return answer
