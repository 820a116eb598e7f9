-- The key of a citizen: the one that is kept, or else the caller's from now on.
-- KEYS: who took whose place. ARGV: the stem of every key, a new handle and its key, and the citizen
-- by any pseudonym. Answers the handle and the key, which is not idle now.
local stem = ARGV[1]
local former = redis.call('HGET', KEYS[1], ARGV[4])
local subject = former or ARGV[4]
redis.call('ZREM', stem .. 'idle', subject)
local handle = redis.call('GET', stem .. 'key:' .. subject)
local key = handle and redis.call('GET', stem .. 'handle:' .. handle)
if key then
  return {handle, key}
end
redis.call('SET', stem .. 'handle:' .. ARGV[2], ARGV[3])
redis.call('SET', stem .. 'key:' .. subject, ARGV[2])
if former or redis.call('EXISTS', stem .. 'former:' .. subject) == 1 then
  -- What it seals may name a former pseudonym.
  redis.call('SET', stem .. 'holder:' .. ARGV[2], subject)
end
return {ARGV[2], ARGV[3]}
