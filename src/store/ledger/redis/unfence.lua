-- Drops a fence, but not a dispatch that was begun since. KEYS: its row.
if redis.call('HEXISTS', KEYS[1], 'dispatch') == 0 then
  return redis.call('DEL', KEYS[1])
end
return 0
