-- The key of a handle, and what its citizen is called. KEYS: the key, and who holds it if they were
-- ever called otherwise. ARGV: the stem of every key. Answers the key ('' if it is destroyed), then,
-- for such a citizen, the present pseudonym and the former ones.
local key = redis.call('GET', KEYS[1])
if not key then
  return {''}
end
local holder = redis.call('GET', KEYS[2])
if not holder then
  return {key}
end
local answer = redis.call('SMEMBERS', ARGV[1] .. 'former:' .. holder)
table.insert(answer, 1, holder)
table.insert(answer, 1, key)
return answer
