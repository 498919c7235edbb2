local kalix = require "kalix"

-- Handlers that never end by themselves, each in another way, and one that is good.
local function deep(n) return 1 + deep(n + 1) end

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
  },
  queries = { get = function(state) return state.n end },
}
