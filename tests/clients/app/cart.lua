-- What the clients of others call: one entity, each kind of answer.
local kalix = require "kalix"
local schema = kalix.schema

return kalix.value_entity "cart" {
  state = schema.record { added = schema.integer },
  init = { added = 0 },
  commands = {
    add = {
      function(state, input, ctx)
        state.added = state.added + input.count
        ctx:update(state)
        return { added = state.added }
      end,
      input = schema.record { count = schema.integer { min = 1 } },
    },
    fail = function(state, input, ctx)
      ctx:fail("FAILED_PRECONDITION", "cart is already checked out", { items = 3 })
    end,
    nothing = function() end,
  },
  queries = {
    get = function(state, input, ctx)
      return { address = ctx.address, added = state.added, input = input }
    end,
    big = function() return string.rep("0123456789", 2000) end,
  },
}
