local kalix = require "kalix"
local schema = kalix.schema
return kalix.value_entity "counter" {
  state = schema.record { n = schema.integer },
  init = { n = 0 },
  commands = {
    add = function(state, input, ctx)
      ctx:update { n = state.n + 1 }
      return state.n + 1
    end,
  },
  queries = { get = function(state) return state.n end },
}
