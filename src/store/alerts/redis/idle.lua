-- Destroys the keys of citizens of whom nothing has been left for a while. Whoever is about to seal
-- something asks for the key first (key.lua), which takes it from the list.
-- KEYS: the idle, with since when. ARGV: the stem of every key, the instant in ms before which they
-- became so, and how many at most. Answers how many keys were destroyed.
local stem, destroyed = ARGV[1], 0
local subjects = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, subject in ipairs(subjects) do
  if redis.call('ZCARD', stem .. 'subject:' .. subject) == 0 then
    local handles = redis.call('SMEMBERS', stem .. 'handles:' .. subject)
    handles[#handles + 1] = redis.call('GET', stem .. 'key:' .. subject) or nil
    for _, handle in ipairs(handles) do
      redis.call('DEL', stem .. 'handle:' .. handle, stem .. 'holder:' .. handle)
      destroyed = destroyed + 1
    end
    redis.call('DEL', stem .. 'key:' .. subject, stem .. 'handles:' .. subject)
  end
  redis.call('ZREM', KEYS[1], subject)
end
return destroyed
