-- Changes devices. KEYS[1] is the counter of Seqs. Each change says what its caller read; where
-- that is no longer so, nothing of that change is done and its answer is 'moved'. Otherwise the
-- answer is the newest Seq. Everything is checked before anything is written, so an error that
-- passes (a full memory, a replica) leaves the change undone.
local stem, count, at = ARGV[1], tonumber(ARGV[2]), 2

local function take()
  at = at + 1
  return ARGV[at]
end

local function place(kind, n)
  return stem .. kind .. ':' .. math.floor((n - 1) / 64), (n - 1) % 64
end

local function put(kind, n, value)
  local key, index = place(kind, n)
  local length = redis.call('LLEN', key)
  if index < length then
    redis.call('LSET', key, index, value)
    if value == '' then
      for _, other in ipairs(redis.call('LRANGE', key, 0, -1)) do
        if other ~= '' then return end
      end
      redis.call('DEL', key)
    end
  else
    for _ = length, index - 1 do redis.call('RPUSH', key, '') end
    redis.call('RPUSH', key, value)
  end
end

local function tally(unit, field, by, token)
  local key = stem .. 'c:' .. unit
  if redis.call('HINCRBY', key, field, by) <= 0 then redis.call('HDEL', key, field) end
  redis.call('HSET', stem .. 'versions', unit, token)
end

-- Every list of a change, read before anything is done.
local function list(width)
  local rows = {}
  for row = 1, tonumber(take()) do
    rows[row] = {}
    for column = 1, width do rows[row][column] = take() end
  end
  return rows
end

local function owned(key, subject)
  return redis.call('HGET', key, subject) or ''
end

local function one()
  local num, before, record, token = tonumber(take()), take(), take(), take()
  local ids, subjects, leaves, joins = list(3), list(3), list(2), list(3)
  local departed, dropped, gone = list(1), list(3), list(1)
  local key, index = place('d', num)
  if (redis.call('LINDEX', key, index) or '') ~= before then return 'moved' end
  for _, id in ipairs(ids) do
    local holder = redis.call('HGET', stem .. 'i:' .. id[2], id[3])
    if id[1] == '+' and holder and holder ~= tostring(num) then return 'moved' end
  end
  for _, row in ipairs(subjects) do
    if row[1] == '+' and #owned(stem .. 's:' .. row[2], row[3]) >= 5 * SUBJECT_DEVICES_MAX then return 'full' end
  end
  local seq = tonumber(redis.call('GET', KEYS[1]) or '0')
  for _, join in ipairs(joins) do
    seq = seq + 1
    record = record .. struct.pack('>I5', seq)
    redis.call('RPUSH', stem .. 'r:' .. join[1], struct.pack('>I5I5', seq, num))
    put('m', seq, tostring(num))
    tally(join[2], join[3], 1, token)
  end
  if record ~= before then put('d', num, record) end
  for _, id in ipairs(ids) do
    if id[1] == '+' then
      redis.call('HSET', stem .. 'i:' .. id[2], id[3], num)
    else
      redis.call('HDEL', stem .. 'i:' .. id[2], id[3])
    end
  end
  local mine = struct.pack('>I5', num)
  for _, row in ipairs(subjects) do
    local hash, kept = stem .. 's:' .. row[2], ''
    local all = owned(hash, row[3])
    for first = 1, #all, 5 do
      local other = all:sub(first, first + 4)
      if other ~= mine then kept = kept .. other end
    end
    if row[1] == '+' then kept = kept .. mine end
    if kept == '' then
      redis.call('HDEL', hash, row[3])
    else
      redis.call('HSET', hash, row[3], kept)
    end
  end
  for _, leave in ipairs(leaves) do tally(leave[1], leave[2], -1, token) end
  for _, entry in ipairs(departed) do redis.call('RPUSH', stem .. 'gone', entry[1]) end
  for _, drop in ipairs(dropped) do
    redis.call('LREM', stem .. 'r:' .. drop[1], 1, drop[2])
    put('m', tonumber(drop[3]), '')
  end
  for _, entry in ipairs(gone) do redis.call('LREM', stem .. 'gone', 1, entry[1]) end
  if #joins > 0 then redis.call('SET', KEYS[1], seq) end
  return seq
end

local answers, newest = {}, redis.call('GET', KEYS[1])
for change = 1, count do answers[change] = one() end
local now = redis.call('GET', KEYS[1])
if now ~= newest then redis.call('PUBLISH', KEYS[1], now) end
return answers
