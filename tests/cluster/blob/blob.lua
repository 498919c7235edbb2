local kalix = require "kalix"
local schema = kalix.schema
return kalix.value_entity "blob" {
  state = schema.record { n = schema.integer, text = schema.string },
  init = { n = 0, text = "" },
  commands = {
    -- So many bytes.
    fill = {
      function(state, input, ctx)
        ctx:update { n = state.n, text = string.rep("x", input.bytes) }
        return input.bytes
      end,
      input = schema.record { bytes = schema.integer },
    },
    add = function(state, input, ctx)
      ctx:update { n = state.n + 1, text = state.text }
      return state.n + 1
    end,
  },
  queries = { get = function(state) return { n = state.n, bytes = #state.text } end },
}
