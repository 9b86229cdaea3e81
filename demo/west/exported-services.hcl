# west offers api to the cluster that it calls east.
Kind = "exported-services"
Name = "default"
Services = [
  {
    Name      = "api"
    Consumers = [{ Peer = "east" }]
  },
]
