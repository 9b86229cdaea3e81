service {
  name    = "api"
  id      = "$ID"
  address = "127.0.0.1"
  port    = $PORT
  connect {
    sidecar_service { port = $SIDECAR }
  }
}
