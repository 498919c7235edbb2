-- States of about 200 bytes, as many as are asked for.
local kalix = require "kalix"
local schema = kalix.schema

return {
  name = "big",
  kalix.value_entity "item" {
    state = schema.record { n = schema.integer, id = schema.string, filler = schema.string },
    init = function(id) return { n = 0, id = id, filler = ("."):rep(170) } end,
    commands = {
      count = function(state, _, ctx)
        state.n = state.n + 1
        ctx:update(state)
        return state.n
      end,
    },
    queries = {
      get = function(state) return state end,
      n = function(state) return state.n end,
    },
  },
}
