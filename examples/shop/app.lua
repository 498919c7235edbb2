-- A small shop: carts, wallets and stock. Deploy it with
--   kalix-admin app deploy examples/shop
return {
  name = "shop",
  require "cart",
  require "wallet",
  require "stock",
}
