local kalix = require "kalix"
local schema = kalix.schema

return kalix.value_entity "person" {
  state = schema.record { name = schema.string },
  init = { name = "nobody" },
  commands = {
    rename = {
      function(state, input, ctx)
        state.name = input.name
        ctx:update(state)
        return state
      end,
      input = schema.record { name = schema.string },
    },
  },
  queries = { get = function(state) return state end },
}
