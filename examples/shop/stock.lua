-- What there is of one product, and what of it is reserved by orders.
--   redis-cli -p 7470 CALL stock/p1 add '{"quantity":100}'
local kalix = require "kalix"
local schema = kalix.schema

local quantity = schema.record { quantity = schema.integer { min = 1, max = 1000000000 } }

return kalix.value_entity "stock" {
  state = schema.record {
    available = schema.integer { min = 0 },
    reserved = schema.integer { min = 0 },
  },
  init = { available = 0, reserved = 0 },

  commands = {
    add = {
      function(state, input, ctx)
        state.available = state.available + input.quantity
        ctx:update(state)
        return state
      end,
      input = quantity,
      description = "new pieces have come, and answers the stock",
    },

    reserve = {
      function(state, input, ctx)
        if input.quantity > state.available then
          ctx:fail("FAILED_PRECONDITION", "not enough in stock", { available = state.available })
        end
        state.available = state.available - input.quantity
        state.reserved = state.reserved + input.quantity
        ctx:update(state)
        return state
      end,
      input = quantity,
      description = "sets pieces aside for an order, and answers the stock",
    },

    release = {
      function(state, input, ctx)
        if input.quantity > state.reserved then
          ctx:fail("FAILED_PRECONDITION", "so many are not reserved", { reserved = state.reserved })
        end
        state.available = state.available + input.quantity
        state.reserved = state.reserved - input.quantity
        ctx:update(state)
        return state
      end,
      input = quantity,
      description = "gives reserved pieces back, and answers the stock",
    },
  },

  queries = {
    get = { function(state) return state end, description = "available and reserved" },
  },
}
