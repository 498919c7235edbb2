local kalix = require "kalix"
local schema = kalix.schema

return kalix.event_sourced_entity "diary" {
  state = schema.record { pages = schema.integer, last = schema.string },
  init = { pages = 0, last = "" },
  snapshot_every = 5,
  commands = {
    write = {
      function(state, input, ctx)
        ctx:emit("written", { text = input.text })
        return state.pages
      end,
      input = schema.record { text = schema.string },
    },
  },
  queries = { get = function(state) return state end },
  events = {
    written = {
      function(state, event)
        state.pages = state.pages + 1
        state.last = event.text
      end,
      schema = schema.record { text = schema.string },
    },
  },
}
