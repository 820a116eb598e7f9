-- Gives everything that is kept under a pseudonym to another one, which takes its place.
-- KEYS: who took whose place. ARGV: the stem of every key, the pseudonym, the other one, and whether
-- the citizen is known elsewhere. Answers what they are called if the pseudonym is a former one
-- now, or ''.
local stem, from = ARGV[1], ARGV[2]
local earlier = redis.call('HGET', KEYS[1], from)
if earlier then
  return earlier
end
local to = redis.call('HGET', KEYS[1], ARGV[3]) or ARGV[3]
local ids = redis.call('ZRANGE', stem .. 'subject:' .. from, 0, -1)
local handles = redis.call('SMEMBERS', stem .. 'handles:' .. from)
handles[#handles + 1] = redis.call('GET', stem .. 'key:' .. from) or nil
local former = redis.call('SMEMBERS', stem .. 'former:' .. from)
if #ids + #handles + #former == 0 and ARGV[4] ~= '1' then
  return ''
end

for _, id in ipairs(ids) do
  redis.call('ZADD', stem .. 'subject:' .. to, 0, id)
  redis.call('HSET', stem .. 'p:' .. id, 'subject', to)
end
for _, handle in ipairs(handles) do
  redis.call('SET', stem .. 'holder:' .. handle, to)
  if redis.call('SET', stem .. 'key:' .. to, handle, 'NX') == false then
    redis.call('SADD', stem .. 'handles:' .. to, handle)
  end
end
local own = redis.call('GET', stem .. 'key:' .. to)
if own then
  redis.call('SET', stem .. 'holder:' .. own, to)
end
local idle = redis.call('ZSCORE', stem .. 'idle', from)
if idle then
  redis.call('ZADD', stem .. 'idle', 'NX', idle, to)
end
redis.call('ZREM', stem .. 'idle', from)
redis.call('DEL', stem .. 'subject:' .. from, stem .. 'key:' .. from, stem .. 'handles:' .. from,
  stem .. 'former:' .. from)
former[#former + 1] = from
for _, name in ipairs(former) do
  redis.call('HSET', KEYS[1], name, to)
  redis.call('SADD', stem .. 'former:' .. to, name)
end
return to
