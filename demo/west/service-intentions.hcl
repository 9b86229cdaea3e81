# Of the services of peer east, web may call api. Everyone else is refused.
Kind = "service-intentions"
Name = "api"
Sources = [
  {
    Name   = "web"
    Peer   = "east"
    Action = "allow"
  },
]
