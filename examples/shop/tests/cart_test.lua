-- kalix-admin app test examples/shop
local test = require "kalix.test"

local pens = { product_id = "p1", name = "Pen", quantity = 2 }

describe("a cart", function()
  local cart
  before_each(function() cart = test.entity "cart/c1" end)

  it("is empty at first", function()
    assert.same({ items = {}, checked_out = false }, cart:query "get")
  end)

  it("adds up quantities of one product", function()
    local result = cart:given { { "item_added", pens } }
      :call("add_item", { product_id = "p1", name = "Pen", quantity = 3 })
    assert.same({ p1 = { name = "Pen", quantity = 5 } }, result.reply)
    assert.same({ { "item_added", { product_id = "p1", name = "Pen", quantity = 3 } } },
      result.events)
  end)

  it("loses what is removed", function()
    local result = cart:given { { "item_added", pens } }
      :call("remove_item", { product_id = "p1" })
    assert.same({}, result.state.items)
  end)

  it("says so where a product is not in it", function()
    assert.fails("NOT_FOUND", function() cart:call("remove_item", { product_id = "p1" }) end)
  end)

  it("refuses quantities that make no sense", function()
    local err = assert.fails("INVALID_ARGUMENT", function()
      cart:call("add_item", { product_id = "p1", name = "Pen", quantity = 0 })
    end)
    assert.is_true(err.message:find("quantity", 1, true) ~= nil)
  end)
end)

describe("a cart at checkout", function()
  local cart = test.entity "cart/c2"

  it("must not be empty", function()
    assert.fails("FAILED_PRECONDITION", function() cart:call "checkout" end, "cart is empty")
  end)

  it("is closed for good", function()
    cart:given { { "item_added", pens }, { "checked_out" } }
    for _, command in ipairs { "checkout", "add_item", "remove_item" } do
      local input = ({ add_item = pens, remove_item = { product_id = "p1" } })[command]
      assert.fails("FAILED_PRECONDITION", function() cart:call(command, input) end,
        "already checked out")
    end
  end)
end)
