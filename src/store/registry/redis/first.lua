-- Where the entries after a Seq begin in a range's list, which is sorted by Seq.
local function first_after(list, after)
  local low, high = 0, redis.call('LLEN', list)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if struct.unpack('>I5', redis.call('LINDEX', list, middle)) > after then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end
