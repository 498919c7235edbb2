return { name = "ledger", require "counter" }
