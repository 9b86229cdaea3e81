//! The world that every case is put into, as an operator writes it: which services run, and what was said about them.
//!
//! `web` calls everybody; `batch` too, by redirection. `api`, `pay` and `team`'s `api` speak HTTP, `db` does not. The
//! `out` is a terminating gateway, and `ledger` and `shop` have no sidecar: nobody is behind it unless an entry says so.
//! `edge` is an ingress gateway and `front` an API gateway, which let nobody in unless an entry says so. The
//! peer `west` has an `api` and a `db` of its own and sees ours, but not `pay`, whose chain may therefore lead anywhere.

/// Where the sidecar of `web` listens for its application: one port an upstream.
pub(crate) const UPSTREAMS: [&str; 7] = [
    "destination_name = \"api\"",
    "destination_name = \"db\"",
    "destination_name = \"pay\"",
    "destination_name = \"api\" destination_namespace = \"team\"",
    "destination_name = \"api\" destination_partition = \"other\"",
    "destination_name = \"api\" destination_peer = \"west\"",
    "destination_name = \"db\" destination_peer = \"west\"",
];

/// The services that have sidecars, with the namespace of each.
pub(crate) const SERVICES: [(&str, &str); 6] = [
    ("web", "default"),
    ("batch", "default"),
    ("api", "default"),
    ("db", "default"),
    ("pay", "default"),
    ("api", "team"),
];

/// Where `web` and the mesh gateway are.
const NEAR: &str = "locality { region = \"eu-1\" zone = \"a\" }";
/// Where `api` is. Of all others nobody says it.
const FAR: &str = "locality { region = \"eu-1\" zone = \"b\" }";

/// The gateways that run, by the flag that says so.
#[allow(dead_code, reason = "who runs no proxies looks at none of them")]
pub(crate) const GATEWAYS: [&str; 4] = ["mesh", "terminating", "ingress", "api"];

/// Where files are that an entry names; who runs proxies has them somewhere else.
#[allow(dead_code, reason = "who runs no proxies needs no files")]
pub(crate) const FILES: &str = "/etc/outside/";

/// What is written about them before a case is.
pub(crate) const ENTRIES: [&str; 4] = [
    "Kind = \"service-defaults\" Name = \"api\" Protocol = \"http\"",
    "Kind = \"service-defaults\" Name = \"pay\" Protocol = \"http\"",
    "Kind = \"service-defaults\" Name = \"api\" Namespace = \"team\" Protocol = \"http\"",
    "Kind = \"exported-services\" Name = \"default\" Services = [
        { Name = \"api\" Consumers = [{ Peer = \"west\" }] },
        { Name = \"db\" Consumers = [{ Peer = \"west\" }] }
    ]",
];

/// The registrations: every service with its sidecar, then the gateways and what has no sidecar. `port` gives a free port every time.
pub(crate) fn registrations(mut port: impl FnMut() -> u16) -> Vec<String> {
    let mut all = Vec::new();
    for (name, namespace) in SERVICES {
        let id = id(name, namespace);
        let proxy = match name {
            "web" => {
                let upstreams: Vec<String> = UPSTREAMS
                    .iter()
                    .map(|upstream| format!("{{ {upstream} local_bind_port = {} }}", port()))
                    .collect();
                format!("proxy {{ upstreams = [{}] }}", upstreams.join(", "))
            }
            "batch" => format!(
                "proxy {{ mode = \"transparent\" transparent_proxy {{ outbound_listener_port = {} }} }}",
                port()
            ),
            _ => String::new(),
        };
        let place = match id.as_str() {
            "web" => NEAR,
            "api" => FAR,
            _ => "",
        };
        all.push(format!(
            "service {{ name = \"{name}\" id = \"{id}\" namespace = \"{namespace}\" address = \"127.0.0.1\" port = {} {place}
                connect {{ sidecar_service {{ port = {} {proxy} }} }} }}",
            port(),
            port()
        ));
    }
    all.push(format!(
        "service {{ kind = \"mesh-gateway\" name = \"mesh-gateway\" address = \"127.0.0.1\" port = {} {NEAR} }}",
        port()
    ));
    all.push(format!(
        "service {{ kind = \"terminating-gateway\" name = \"out\" address = \"127.0.0.1\" port = {} }}",
        port()
    ));
    for (name, address) in [("ledger", "127.0.0.1"), ("shop", "localhost")] {
        all.push(format!(
            "service {{ name = \"{name}\" address = \"{address}\" port = {} }}",
            port()
        ));
    }
    all.push(format!(
        "service {{ kind = \"ingress-gateway\" name = \"edge\" address = \"127.0.0.1\" port = {} }}",
        port()
    ));
    all.push(format!(
        "service {{ kind = \"api-gateway\" name = \"front\" address = \"127.0.0.1\" port = {} }}",
        port()
    ));
    all
}

/// The id of a service of the world.
pub(crate) fn id(name: &str, namespace: &str) -> String {
    match namespace {
        "default" => name.to_owned(),
        namespace => format!("{namespace}-{name}"),
    }
}
