-- Gives back what a limit took for a request that another limit refused, which in a cluster stands on another node.
-- KEYS[1] as in counts.lua; ARGV: how much of d, and how much of n.

local fields = redis.call('HMGET', KEYS[1], 'd', 'n')
if fields[1] then
  local function less(field, by) return string.format('%.0f', math.max(0, tonumber(field) - tonumber(by))) end
  redis.call('HSET', KEYS[1], 'd', less(fields[1], ARGV[1]), 'n', less(fields[2], ARGV[2]))
end
return 0
