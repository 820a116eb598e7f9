-- A session with its person as they are now. KEYS: the session, people. Answers body, last use and
-- end, or nothing.
local row = redis.call('HMGET', KEYS[1], 'person', 'seen', 'ends')
local body = row[1] and redis.call('HGET', KEYS[2], row[1])
return body and { body, row[2], row[3] } or {}
