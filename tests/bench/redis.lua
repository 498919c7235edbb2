#!lua name=bench
-- The same work as cart/cart.lua, as a function of Redis: the state of about 220 bytes is decoded,
-- changed and encoded by each call.
local function first(key)
  local items = {}
  for i = 0, 11 do items[string.format("sku-%08d", i)] = i end
  return { id = key, user = "user-00001234", ver = 17, items = items }
end

redis.register_function("add_item", function(keys, args)
  local stored = redis.call("GET", keys[1])
  local state = stored and cmsgpack.unpack(stored) or first(keys[1])
  local input = cjson.decode(args[1])
  local n = (state.items[input.sku] or 0) + input.qty
  state.items[input.sku] = n
  state.ver = state.ver + 1
  redis.call("SET", keys[1], cmsgpack.pack(state))
  return cjson.encode({ n = n, ok = true })
end)

-- The same as cart/kv.lua.
redis.register_function("set", function(keys, args)
  redis.call("SET", keys[1], args[1])
end)
redis.register_function{ function_name = "get", flags = { "no-writes" },
  callback = function(keys) return redis.call("GET", keys[1]) end }
