local kalix = require "kalix"
local schema = kalix.schema

return kalix.event_sourced_entity "journal" {
  state = schema.record { count = schema.integer, sum = schema.integer },
  init = { count = 0, sum = 0 },
  snapshot_every = 50,
  commands = {
    add = {
      function(state, input, ctx)
        ctx:emit("added", { n = input.n })
        return { count = state.count, sum = state.sum }
      end,
      input = schema.record { n = schema.integer },
    },
  },
  queries = { get = function(state) return state end },
  events = {
    added = {
      function(state, event)
        state.count = state.count + 1
        state.sum = state.sum + event.n
      end,
      schema = schema.record { n = schema.integer },
    },
  },
}
