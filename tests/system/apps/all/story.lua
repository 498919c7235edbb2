local kalix = require "kalix"
local schema = kalix.schema

-- An event-sourced entity whose snapshots come often.
return kalix.event_sourced_entity "story" {
  state = schema.record { lines = schema.list(schema.string), told = schema.integer },
  init = { lines = {}, told = 0 },
  snapshot_every = 10,

  commands = {
    tell = {
      function(state, input, ctx)
        for _ = 1, input.times do ctx:emit("told", { line = input.line }) end
        return state.told
      end,
      input = schema.record {
        line = schema.string,
        times = schema.integer { min = 1, max = 1000 },
      },
    },
    burn = {
      function(_, input, ctx)
        ctx:emit("told", { line = "the end" })
        ctx:delete()
        return ctx.revision
      end,
      exists = true,
    },
    half = function(_, _, ctx)
      ctx:emit("told", { line = "never" })
      error("broken in the middle")
    end,
    whisper = function(_, _, ctx) ctx:emit("told", { line = 5 }) end,
  },
  queries = {
    get = function(state) return { told = state.told, last = state.lines[#state.lines] } end,
    revision = function(_, _, ctx) return ctx.revision end,
  },
  events = {
    told = {
      function(state, event)
        state.told = state.told + 1
        state.lines[#state.lines + 1] = event.line
        if #state.lines > 5 then table.remove(state.lines, 1) end
      end,
      schema = schema.record { line = schema.string },
    },
  },
}
