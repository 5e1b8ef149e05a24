-- Purpose: compare and set of one position. KEYS[1] the position; ARGV: the version that is expected ('' for none), the version
--   it gets, the value. Answers 1: kept; 0: another version is there; -1: something that lfk did not write is there.
-- Repeat: yes. A request that is sent again because its reply was lost finds its own version.
local found = redis.call('HGET', KEYS[1], 'version')
if found == ARGV[2] then
  return 1
end
if not found and redis.call('EXISTS', KEYS[1]) == 1 then
  return -1
end
if (found or '') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'value', ARGV[3])
return 1
