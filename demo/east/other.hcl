service {
  name    = "other"
  id      = "$ID"
  address = "127.0.0.1"
  port    = $PORT
  connect {
    sidecar_service {
      port = $SIDECAR
      proxy {
        # Dial the peer's mesh gateways directly.
        mesh_gateway { mode = "remote" }
        upstreams = [
          {
            destination_name = "api"
            destination_peer = "west"
            local_bind_port  = $UPSTREAM
          },
        ]
      }
    }
  }
}
