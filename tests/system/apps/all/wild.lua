local kalix = require "kalix"

-- Handlers that never end by themselves, each in another way, and one that is good.
local function deep(n) return 1 + deep(n + 1) end

local function records(count)
  local t = {}
  for i = 1, count do t[i] = { id = i, name = "a name", tags = { "one", "two" } } end
  return t
end

return kalix.value_entity "wild" {
  init = { n = 0 },
  commands = {
    good = function(state, _, ctx)
      state.n = state.n + 1
      ctx:update(state)
      return state.n
    end,
    loop = function() while true do end end,
    swallow = function()
      while true do pcall(function() while true do end end) end
    end,
    grow_string = function() return ("x"):rep(1 << 30) end,
    double_string = function()
      local s = "x"
      while true do s = s .. s end
    end,
    pattern = function()
      return (("a"):rep(30000)):find(("a*"):rep(12) .. "b") or 0
    end,
    grow_table = function()
      local t = {}
      while true do t[#t + 1] = { #t } end
    end,
    recursion = function() return deep(1) end,
    nest = function()
      local function inner() return coroutine.wrap(inner)() end
      return inner()
    end,
    sort = function()
      local t = {}
      for i = 1, 100000 do t[i] = i % 1000 end
      while true do table.sort(t, function() return true end) end
    end,
    format = function()
      local t = {}
      while true do t[#t + 1] = string.format("%99d%99d%99d", 1, 2, 3) end
    end,
    concat = function()
      local t = {}
      for i = 1, 100000 do t[i] = "0123456789" end
      while true do local _ = table.concat(t) end
    end,
    grow_map = function()
      local t, i = {}, 0
      while true do
        i = i + 1
        t["key " .. i] = i
      end
    end,
    garbage = function()
      while true do local _ = { {}, { 1 }, { a = 1 } } end
    end,
    sort_plain = function()
      local t = {}
      for i = 1, 100000 do t[i] = i * 7919 % 100003 end
      while true do table.sort(table.move(t, 1, #t, 1, {})) end
    end,
    sort_texts = function()
      local t = {}
      for i = 1, 50000 do t[i] = "a text that is longer: " .. i * 7919 % 100003 end
      while true do table.sort(table.move(t, 1, #t, 1, {})) end
    end,
    walk = function()
      local t = {}
      for i = 1, 30000 do t["key " .. i] = i end
      while true do
        for _ in pairs(t) do break end
      end
    end,
    sorted = function()
      local t = {}
      for i = 1, 30000 do t["key " .. i] = i end
      while true do kalix.sorted(t) end
    end,
    json_encode = function()
      local t = records(20000)
      while true do local _ = kalix.json.encode(t) end
    end,
    json_decode = function()
      local text = kalix.json.encode(records(20000))
      while true do local _ = kalix.json.decode(text) end
    end,
    update = function(_, _, ctx)
      local t = records(20000)
      while true do ctx:update(t) end
    end,
    load = function()
      local text = ("local a <const> = { 'text', 17, function() end }; "):rep(190)
      while true do load(text) end
    end,
    utf8 = function()
      local text = ("\u{e9}"):rep(4 << 20)
      while true do utf8.len(text) end
    end,
    quote = function()
      local text = ("\n"):rep(2 << 20)
      while true do local _ = ("%q"):format(text) end
    end,
    digest = function()
      local text = ("x"):rep(8 << 20)
      while true do kalix.hash.sha256(text) end
    end,
    base64 = function()
      local text = ("x"):rep(8 << 20)
      while true do local _ = kalix.base64.encode(text) end
    end,
    compare = function()
      local one, other = ("x"):rep(8 << 20) .. 1, ("x"):rep(8 << 20) .. 2
      while true do local _ = one < other end
    end,
    error = function()
      local text = ("x"):rep(1 << 20)
      while true do pcall(error, { text .. 1 }) pcall(error, text) end
    end,
  },
  queries = { get = function(state) return state.n end },
}
