local kalix = require "kalix"
local schema = kalix.schema

-- A text under a key: what a put and a get of a key-value store do.
return kalix.value_entity "kv" {
  state = schema.string,
  init = function() return "" end,
  commands = {
    set = {
      function(_, input, ctx) ctx:update(input) end,
      input = schema.string,
    },
  },
  queries = { get = function(state) return state end },
}
