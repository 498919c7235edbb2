-- A wallet is a value: each command hands over the new state. It never goes below zero.
--   redis-cli -p 7470 CALL wallet/w1 deposit '{"amount":100}'
local kalix = require "kalix"
local schema = kalix.schema

local amount = schema.record { amount = schema.integer { min = 1, max = 1000000000 } }

return kalix.value_entity "wallet" {
  state = schema.record { balance = schema.integer { min = 0 }, changes = schema.integer },
  init = { balance = 0, changes = 0 },

  commands = {
    deposit = {
      function(state, input, ctx)
        state.balance = state.balance + input.amount
        state.changes = state.changes + 1
        ctx:update(state)
        return { balance = state.balance }
      end,
      input = amount,
      description = "adds to the balance, and answers it",
    },

    withdraw = {
      function(state, input, ctx)
        if input.amount > state.balance then
          ctx:fail("FAILED_PRECONDITION", "not enough in the wallet",
            { balance = state.balance, missing = input.amount - state.balance })
        end
        state.balance = state.balance - input.amount
        state.changes = state.changes + 1
        ctx:update(state)
        return { balance = state.balance }
      end,
      input = amount,
      description = "takes from the balance if there is enough, and answers it",
    },
  },

  queries = {
    balance = { function(state) return state.balance end, description = "a number" },
    get = { function(state) return state end, description = "balance, and how often it changed" },
  },
}
