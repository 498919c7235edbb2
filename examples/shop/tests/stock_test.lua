local test = require "kalix.test"

describe("stock", function()
  local app
  before_each(function()
    app = test.app()
    app:call("stock/p1", "add", { quantity = 10 })
  end)

  it("is reserved and released", function()
    assert.same({ available = 6, reserved = 4 }, app:call("stock/p1", "reserve", { quantity = 4 }))
    assert.same({ available = 9, reserved = 1 }, app:call("stock/p1", "release", { quantity = 3 }))
  end)

  it("is not reserved beyond what there is", function()
    local err = assert.fails("FAILED_PRECONDITION", function()
      app:call("stock/p1", "reserve", { quantity = 11 })
    end)
    assert.equal(10, err.details.available)
    assert.same({ available = 10, reserved = 0 }, app:query("stock/p1", "get"))
  end)

  it("of one product is not that of another", function()
    assert.same({ available = 0, reserved = 0 }, app:query("stock/p2", "get"))
  end)
end)
