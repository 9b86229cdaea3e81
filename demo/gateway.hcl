service {
  kind    = "mesh-gateway"
  name    = "mesh-gateway"
  id      = "$ID"
  address = "127.0.0.1"
  port    = $PORT
  tagged_addresses {
    lan { address = "127.0.0.1" port = $PORT }
    wan { address = "127.0.0.1" port = $PORT }
  }
}
