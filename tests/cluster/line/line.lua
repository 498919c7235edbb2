-- Who came, in the order in which they came.
local kalix = require "kalix"
local schema = kalix.schema
return kalix.event_sourced_entity "line" {
  state = schema.record { who = schema.list(schema.integer) },
  init = { who = kalix.list {} },
  snapshot_every = 500,
  commands = {
    put = { function(state, input, ctx)
      ctx:emit("came", input)
      return #state.who
    end, input = schema.record { who = schema.integer } },
    refuse = { function(state, input, ctx) ctx:fail("FAILED_PRECONDITION", "not by this") end,
      input = schema.record { who = schema.integer } },
  },
  queries = { get = function(state) return state.who end },
  events = { came = function(state, event) state.who[#state.who + 1] = event.who end },
}
