return { name = "clients", require "cart" }
