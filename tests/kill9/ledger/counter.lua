local kalix = require "kalix"
local schema = kalix.schema

return kalix.value_entity "counter" {
  state = schema.record { count = schema.integer, sum = schema.integer },
  init = { count = 0, sum = 0 },
  commands = {
    add = {
      function(state, input, ctx)
        state.count = state.count + 1
        state.sum = state.sum + input.n
        ctx:update(state)
        return { count = state.count, sum = state.sum }
      end,
      input = schema.record { n = schema.integer },
    },
  },
  queries = { get = function(state) return state end },
}
