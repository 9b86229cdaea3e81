service {
  name    = "web"
  id      = "$ID"
  address = "127.0.0.1"
  port    = $PORT
  connect {
    sidecar_service {
      port = $SIDECAR
      proxy {
        # Leave the cluster through its own mesh gateway only.
        mesh_gateway { mode = "local" }
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
