local test = require "kalix.test"

describe("a wallet", function()
  it("gives what it has, and counts its changes", function()
    local wallet = test.entity("wallet/w1"):given { state = { balance = 100, changes = 1 } }
    local result = wallet:call("withdraw", { amount = 40 })
    assert.same({ balance = 60 }, result.reply)
    assert.same({ balance = 60, changes = 2 }, result.state)
  end)

  it("never goes below zero, and says what is missing", function()
    local wallet = test.entity("wallet/w1"):given { state = { balance = 5, changes = 1 } }
    local err = assert.fails("FAILED_PRECONDITION", function()
      wallet:call("withdraw", { amount = 6 })
    end)
    assert.same({ balance = 5, missing = 1 }, err.details)
    assert.equal(5, wallet:query "balance")
  end)

  it("takes a payment with a token once", function()
    local app = test.app()
    for _ = 1, 3 do
      assert.same({ balance = 10 },
        app:call("wallet/w2", "deposit", { amount = 10 }, { token = "payment-1" }))
    end
    assert.fails("INVALID_ARGUMENT", function()
      app:call("wallet/w2", "deposit", { amount = 11 }, { token = "payment-1" })
    end)
    app:advance "24h" -- so long a token is remembered
    assert.same({ balance = 20 },
      app:call("wallet/w2", "deposit", { amount = 10 }, { token = "payment-1" }))
  end)
end)
