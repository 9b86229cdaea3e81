//! Whole documents as operators write them, in the older and the newer style.

use serde_json::{Value, json};

use super::parse;

#[track_caller]
fn reads_as(text: &str, expected: &Value) {
    match parse(text) {
        Ok(value) => assert_eq!(&value, expected),
        Err(error) => panic!("{error}\nin {text}"),
    }
}

#[test]
fn server_configuration() {
    let text = r#"
# The only server of the east cluster.
datacenter       = "east"
node_name        = "east-1"
server           = true
bootstrap_expect = 1
log_level        = "INFO"
retry_join       = ["10.0.0.11", "10.0.0.12",]

ports {
  http     = 8500
  grpc_tls = 8503
  dns      = -1   // off
}

connect { enabled = true }

tls {
  defaults { verify_incoming = true, ca_file = "/etc/mesh/ca.pem" }
  internal_rpc { verify_server_hostname = true }
}

/* Two services that need
   no sidecar. */
services {
  name = "redis"
  port = 6379
  checks = [
    { name = "ping", tcp = "127.0.0.1:6379", interval = "10s" }
  ]
}
services {
  name = "metrics"
  tags = ["primary", "v2"]
  check { http = "http://127.0.0.1:9100/" interval = "5s" }
}

config_entries {
  bootstrap {
    kind = "proxy-defaults"
    name = "global"
    config { protocol = "http" }
  }
  bootstrap {
    kind = "mesh"
    peering { peer_through_mesh_gateways = true }
  }
}
"#;
    reads_as(
        text,
        &json!({
            "datacenter": "east",
            "node_name": "east-1",
            "server": true,
            "bootstrap_expect": 1,
            "log_level": "INFO",
            "retry_join": ["10.0.0.11", "10.0.0.12"],
            "ports": {"http": 8500, "grpc_tls": 8503, "dns": -1},
            "connect": {"enabled": true},
            "tls": {
                "defaults": {"verify_incoming": true, "ca_file": "/etc/mesh/ca.pem"},
                "internal_rpc": {"verify_server_hostname": true},
            },
            "services": [
                {
                    "name": "redis",
                    "port": 6379,
                    "checks": [{"name": "ping", "tcp": "127.0.0.1:6379", "interval": "10s"}],
                },
                {
                    "name": "metrics",
                    "tags": ["primary", "v2"],
                    "check": {"http": "http://127.0.0.1:9100/", "interval": "5s"},
                },
            ],
            "config_entries": {"bootstrap": [
                {"kind": "proxy-defaults", "name": "global", "config": {"protocol": "http"}},
                {"kind": "mesh", "peering": {"peer_through_mesh_gateways": true}},
            ]},
        }),
    );
}

#[test]
fn exported_services() {
    let text = r#"
Kind = "exported-services"
Name = "default"

Services = [
  {
    Name = "billing"
    Consumers = [
      { Peer = "west" },
      { Peer = "north" },
    ]
  },
  {
    Name      = "*"
    Namespace = "shop"
    Consumers = [{ Partition = "batch" }]
  }
]
"#;
    reads_as(
        text,
        &json!({
            "Kind": "exported-services",
            "Name": "default",
            "Services": [
                {"Name": "billing", "Consumers": [{"Peer": "west"}, {"Peer": "north"}]},
                {"Name": "*", "Namespace": "shop", "Consumers": [{"Partition": "batch"}]},
            ],
        }),
    );
}

#[test]
fn service_intentions_with_blocks_inside_objects() {
    let text = r#"
Kind = "service-intentions"
Name = "billing"
Sources = [
  {
    Name = "shop"
    Peer = "west"
    Permissions = [
      {
        Action = "allow"
        HTTP {
          PathPrefix = "/v1/invoices"
          Methods    = ["GET", "HEAD"]
          Header = [
            {
              Name    = "x-tenant"
              Regex   = "^[a-z]{2}\\d+$"
            }
          ]
        }
      },
      {
        Action = "deny"
        HTTP { PathRegex = "/.*" }
      }
    ]
  },
  { Name = "*", Action = "deny" }
]
"#;
    reads_as(
        text,
        &json!({
            "Kind": "service-intentions",
            "Name": "billing",
            "Sources": [
                {
                    "Name": "shop",
                    "Peer": "west",
                    "Permissions": [
                        {
                            "Action": "allow",
                            "HTTP": {
                                "PathPrefix": "/v1/invoices",
                                "Methods": ["GET", "HEAD"],
                                "Header": [{"Name": "x-tenant", "Regex": "^[a-z]{2}\\d+$"}],
                            },
                        },
                        {"Action": "deny", "HTTP": {"PathRegex": "/.*"}},
                    ],
                },
                {"Name": "*", "Action": "deny"},
            ],
        }),
    );
}

#[test]
fn service_router_in_the_older_style() {
    let text = r#"
kind = "service-router"
name = "web"
routes = [
  {
    match { http {
      path_prefix = "/admin"
      header = [ { name = "x-debug" present = true } ]
    } }
    destination {
      service         = "admin"
      request_timeout = "5s"
      num_retries     = 3
      retry_on_status_codes = [502, 503]
      response_headers { set { "x-served-by" = "admin" } remove = ["server"] }
    }
  },
  {
    match { http { query_param = [ { name = "v", exact = "2" } ] } }
    destination { service = "web" service_subset = "v2" }
  },
]
"#;
    reads_as(
        text,
        &json!({
            "kind": "service-router",
            "name": "web",
            "routes": [
                {
                    "match": {"http": {
                        "path_prefix": "/admin",
                        "header": [{"name": "x-debug", "present": true}],
                    }},
                    "destination": {
                        "service": "admin",
                        "request_timeout": "5s",
                        "num_retries": 3,
                        "retry_on_status_codes": [502, 503],
                        "response_headers": {"set": {"x-served-by": "admin"}, "remove": ["server"]},
                    },
                },
                {
                    "match": {"http": {"query_param": [{"name": "v", "exact": "2"}]}},
                    "destination": {"service": "web", "service_subset": "v2"},
                },
            ],
        }),
    );
}

#[test]
fn proxy_defaults_with_log_formats_and_a_heredoc() {
    let text = r#"
Kind = "proxy-defaults"
Name = "global"
Config {
  protocol                 = "http"
  local_connect_timeout_ms = 1500
  envoy_stats_tags         = ["zone=a"]
  envoy_extra_static_clusters_json = <<-JSON
    {
      "name": "zipkin"
    }
    JSON
}
AccessLogs {
  Enabled    = true
  TextFormat = "%START_TIME% %REQ(X-REQUEST-ID)% %{trace} ${name} \"%REQ(:METHOD)%\"\n"
}
MeshGateway { Mode = "local" }
Meta { "team name" = "platform" }
"#;
    reads_as(
        text,
        &json!({
            "Kind": "proxy-defaults",
            "Name": "global",
            "Config": {
                "protocol": "http",
                "local_connect_timeout_ms": 1500,
                "envoy_stats_tags": ["zone=a"],
                "envoy_extra_static_clusters_json": "{\n  \"name\": \"zipkin\"\n}\n",
            },
            "AccessLogs": {
                "Enabled": true,
                "TextFormat": "%START_TIME% %REQ(X-REQUEST-ID)% %{trace} ${name} \"%REQ(:METHOD)%\"\n",
            },
            "MeshGateway": {"Mode": "local"},
            "Meta": {"team name": "platform"},
        }),
    );
}

#[test]
fn service_registration_with_sidecar_and_upstreams() {
    let text = r#"
service {
  name = "shop"
  id   = "shop-1"
  port = 9090
  meta = { version : "1.4", "owner" = "checkout" }
  connect {
    sidecar_service {
      port = 21000
      proxy {
        upstreams = [
          {
            destination_name = "billing"
            destination_peer = "east"
            local_bind_port  = 9191
            mesh_gateway { mode = "local" }
          },
          { destination_name = "stock", local_bind_port = 9192 }
        ]
        config { envoy_prometheus_bind_addr = "0.0.0.0:9102" }
      }
    }
  }
  check { id = "alive" http = "http://127.0.0.1:9090/healthz" interval = "5s" timeout = "1s" }
}
"#;
    reads_as(
        text,
        &json!({"service": {
            "name": "shop",
            "id": "shop-1",
            "port": 9090,
            "meta": {"version": "1.4", "owner": "checkout"},
            "connect": {"sidecar_service": {
                "port": 21000,
                "proxy": {
                    "upstreams": [
                        {
                            "destination_name": "billing",
                            "destination_peer": "east",
                            "local_bind_port": 9191,
                            "mesh_gateway": {"mode": "local"},
                        },
                        {"destination_name": "stock", "local_bind_port": 9192},
                    ],
                    "config": {"envoy_prometheus_bind_addr": "0.0.0.0:9102"},
                },
            }},
            "check": {
                "id": "alive",
                "http": "http://127.0.0.1:9090/healthz",
                "interval": "5s",
                "timeout": "1s",
            },
        }}),
    );
}
