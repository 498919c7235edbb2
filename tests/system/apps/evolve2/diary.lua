local kalix = require "kalix"
local schema = kalix.schema

return kalix.event_sourced_entity "diary" {
  version = 2,
  state = schema.record { pages = schema.integer, last = schema.string, mood = schema.string },
  init = { pages = 0, last = "", mood = "none" },
  snapshot_every = 5,
  commands = {
    write = {
      function(state, input, ctx)
        ctx:emit("written", input)
        return state.pages
      end,
      input = schema.record { text = schema.string, mood = schema.string },
    },
  },
  queries = { get = function(state) return state end },
  events = {
    written = {
      function(state, event)
        state.pages = state.pages + 1
        state.last = event.text
        state.mood = event.mood
      end,
      version = 2,
      schema = schema.record { text = schema.string, mood = schema.string },
      upcast = {
        [1] = function(event)
          event.mood = "calm"
          return event
        end,
      },
    },
  },
}
