local kalix = require "kalix"
local schema = kalix.schema
local change = schema.record { from = schema.integer, to = schema.integer }

local function put(state, to, ctx)
  ctx:update { value = to, changes = state.changes + 1 }
  return state
end

return kalix.value_entity "cell" {
  state = schema.record { value = schema.integer, changes = schema.integer },
  init = { value = 0, changes = 0 },
  commands = {
    write = {
      function(state, input, ctx) return put(state, input.to, ctx) end,
      input = change,
    },
    cas = {
      function(state, input, ctx)
        if state.value ~= input.from then
          ctx:fail("ABORTED", "another value", { value = state.value, changes = state.changes })
        end
        return put(state, input.to, ctx)
      end,
      input = change,
    },
  },
  queries = {
    get = function(state) return state end,
    when = function(state, input, ctx) return ctx.now end,
  },
}
