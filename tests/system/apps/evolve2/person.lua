local kalix = require "kalix"
local schema = kalix.schema

return kalix.value_entity "person" {
  version = 2,
  state = schema.record { first = schema.string, last = schema.string },
  init = { first = "nobody", last = "" },
  migrate = {
    [1] = function(state)
      local first, last = state.name:match("^(%S+)%s*(.*)$")
      return { first = first or "", last = last or "" }
    end,
  },
  commands = {
    rename = {
      function(_, input, ctx)
        ctx:update { first = input.first, last = input.last }
        return input
      end,
      input = schema.record { first = schema.string, last = schema.string },
    },
  },
  queries = { get = function(state) return state end },
}
