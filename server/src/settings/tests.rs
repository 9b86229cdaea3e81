//! Files, flags, defaults, refusals, and the documentation's table.

use super::*;
use peerway_dns::{Domain, Soa};

fn load(text: &str) -> Result<Settings, SettingsError> {
    Settings::load(&[("a.hcl".to_owned(), text.to_owned())], Overrides::default())
}

fn refusal(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

#[test]
fn defaults_are_safe_on_loopback() {
    let settings = load("data_dir = \"d\"").unwrap();
    assert_eq!(settings.datacenter.as_str(), "dc1");
    assert_eq!(settings.http, Some("127.0.0.1:8500".parse().unwrap()));
    assert_eq!(settings.grpc, Some("127.0.0.1:8502".parse().unwrap()));
    assert_eq!(settings.grpc_tls, Some("127.0.0.1:8503".parse().unwrap()));
    assert_eq!(settings.advertise_addr_wan, IpAddr::from([127, 0, 0, 1]));
    assert_eq!(settings.leaf_ttl, Duration::from_secs(72 * 3600));
    assert_eq!(settings.token_ttl, None);
    assert_eq!(settings.default_intention, Action::Deny);
    let open = load("data_dir = \"d\"\ndefault_intention_policy = \"allow\"").unwrap();
    assert_eq!(open.default_intention, Action::Allow);
    assert_eq!(settings.stale_after, None);
    let short = load("data_dir = \"d\"\npeering { stale_after = \"5s\" }").unwrap();
    assert_eq!(short.stale_after, Some(Duration::from_secs(5)));
    let limited = load("data_dir = \"d\"\npeering { token_ttl = \"24h\" }").unwrap();
    assert_eq!(limited.token_ttl, Some(Duration::from_secs(24 * 3600)));
}

#[test]
fn names_are_answered_as_dns_config_says() {
    let settings = load("data_dir = \"d\"").unwrap();
    assert_eq!(settings.dns, Some("127.0.0.1:8600".parse().unwrap()));
    let zone = settings.zone;
    assert_eq!(
        (zone.domain, zone.alt_domain),
        (Domain::new("consul").unwrap(), None)
    );
    assert_eq!((zone.node_ttl, zone.service_ttl.of("web")), (0, 0));
    assert_eq!((zone.a_record_limit, zone.udp_answer_limit), (0, 3));
    assert!(!zone.only_passing && !zone.enable_truncate);
    assert_eq!(zone.soa, Soa::default());
    let text = "data_dir = \"d\"\ndatacenter = \"west\"\nnode_name = \"w1\"\nports { dns = 53 }\nrecursors = []\n\
        domain = \"mesh.test.\"\nalt_domain = \"consul\"\n\
        dns_config {\n node_ttl = \"1m\"\n service_ttl { \"*\" = \"5s\" web = \"2m\" }\n only_passing = true\n \
        allow_stale = false\n udp_answer_limit = 0\n a_record_limit = 2\n enable_truncate = true\n \
        soa { min_ttl = 30 retry = 4 }\n}";
    let settings = load(text).unwrap();
    assert_eq!(settings.dns.unwrap().port(), 53);
    let zone = settings.zone;
    assert_eq!(zone.domain, Domain::new("mesh.test").unwrap());
    assert_eq!(zone.alt_domain, Some(Domain::new("consul").unwrap()));
    assert_eq!((zone.datacenter.as_str(), zone.server.as_str()), ("west", "w1"));
    assert_eq!((zone.node_ttl, zone.service_ttl.of("web")), (60, 120));
    assert_eq!(zone.service_ttl.of("api"), 5);
    assert_eq!((zone.a_record_limit, zone.udp_answer_limit), (2, 0));
    assert!(zone.only_passing && zone.enable_truncate);
    let soa = Soa {
        min_ttl: 30,
        retry: 4,
        ..Soa::default()
    };
    assert_eq!(zone.soa, soa);
    assert_eq!(load("data_dir = \"d\"\nports { dns = -1 }").unwrap().dns, None);
}

#[test]
fn where_the_node_is_is_said_or_not() {
    let of = |text: &str| load(&format!("data_dir = \"d\"\n{text}")).unwrap().locality;
    assert_eq!(of(""), None);
    let zone = of("locality { region = \"eu-1\" zone = \"a\" }").unwrap();
    assert_eq!(zone.to_string(), "eu-1/a");
}

#[test]
fn later_files_and_flags_win() {
    let files = [
        (
            "a.hcl".to_owned(),
            "data_dir = \"a\"\nports { http = 1 grpc = 2 }\nservice { name = \"x\" }".to_owned(),
        ),
        (
            "b.json".to_owned(),
            r#"{"data_dir":"b","ports":{"http":3},"services":[{"name":"y"}]}"#.to_owned(),
        ),
    ];
    let flags = Overrides {
        http_port: Some(-1),
        datacenter: Some("west".to_owned()),
        ..Overrides::default()
    };
    let settings = Settings::load(&files, flags).unwrap();
    assert_eq!(settings.data_dir, Some(PathBuf::from("b")));
    assert_eq!(settings.datacenter.as_str(), "west");
    assert_eq!(settings.http, None);
    assert_eq!(settings.grpc.unwrap().port(), 2);
    assert_eq!(settings.services.len(), 2);
}

#[test]
fn refusals_name_file_path_and_cure() {
    let cases = [
        ("data_dir = \"d\"\nfoo = 1", "a.hcl: foo: unknown setting"),
        (
            "data_dir = \"d\"\ndefault_intention_policy = \"Allow\"",
            "a.hcl: default_intention_policy: \"Allow\" is no policy, use \"deny\" or \"allow\"",
        ),
        (
            "data_dir = \"d\"\nlocality { zone = \"a\" }",
            "locality.region: is required with Zone",
        ),
        (
            "data_dir = \"d\"\nlocality { region = \"eu-1\" zone = \"a b\" }",
            "a.hcl: locality.zone: \"a b\" is not the name of a region or zone",
        ),
        (
            "data_dir = \"d\"\nports { htp = 1 }",
            "a.hcl: ports.htp: unknown setting",
        ),
        (
            "data_dir = \"d\"\nrecursors = [\"8.8.8.8\"]",
            "a.hcl: recursors: only an empty list is offered",
        ),
        (
            "data_dir = \"d\"\ndomain = \"a b\"",
            "a.hcl: domain: \"a b\" is not a domain",
        ),
        (
            "data_dir = \"d\"\nalt_domain = \"\"",
            "a.hcl: alt_domain: \"\" is not a domain",
        ),
        (
            "data_dir = \"d\"\ndns_config { node_ttl = \"1500ms\" }",
            "a.hcl: dns_config.node_ttl: must be whole seconds",
        ),
        (
            "data_dir = \"d\"\ndns_config { service_ttl { web = 5 } }",
            "a.hcl: dns_config.service_ttl: \"web\": must be a duration such as \"10s\", not 5",
        ),
        (
            "data_dir = \"d\"\ndns_config { udp_answer_limit = -1 }",
            "a.hcl: dns_config.udp_answer_limit: must be from 0",
        ),
        (
            "data_dir = \"d\"\ndns_config { soa { min_ttl = -1 } }",
            "a.hcl: dns_config.soa.min_ttl: must be seconds from 0",
        ),
        (
            "data_dir = \"d\"\npeering { stale_after = \"999ms\" }",
            "a.hcl: peering.stale_after: must be at least 1s",
        ),
        (
            "data_dir = \"d\"\npeering { stale_after = \"old\" }",
            "a.hcl: peering.stale_after: \"old\" is not a duration",
        ),
        (
            "data_dir = \"d\"\npeering { token_ttl = \"soon\" }",
            "a.hcl: peering.token_ttl: \"soon\" is not a duration",
        ),
        (
            "data_dir = \"d\"\npeering { token_ttl = \"0s\" }",
            "a.hcl: peering.token_ttl: must be more than nothing",
        ),
        (
            "data_dir = \"d\"\nports { http = 70000 }",
            "a.hcl: ports.http: 70000 is not a port",
        ),
        ("data_dir = \"d\"\nports = 1", "a.hcl: ports: must be a block"),
        ("data_dir = 1", "a.hcl: data_dir: must be a string"),
        (
            "data_dir = \"d\"\ndatacenter = \"DC1\"",
            "a.hcl: datacenter: \"DC1\" is not a valid datacenter",
        ),
        ("data_dir = \"d\"\ndataCenter = \"a\"", "did you mean datacenter"),
        (
            "data_dir = \"d\"\nclient_addr = \"0.0.0.0\"",
            "advertise_addr: is needed",
        ),
        (
            "data_dir = \"d\"\nclient_addr = \"localhost\"",
            "a.hcl: client_addr: \"localhost\" is not an IP address",
        ),
        ("data_dir = \"d\"\nserver = false", "a.hcl: server: only servers"),
        (
            "data_dir = \"d\"\nports { grpc_tls = -1 }",
            "a.hcl: ports.grpc_tls: is off, but peerings need it",
        ),
        (
            "data_dir = \"d\"\nconnect { ca_config { leaf_cert_ttl = \"10m\" } }",
            "must be at least 1h",
        ),
        (
            "data_dir = \"d\"\nconnect { ca_config { root_cert = \"a\" } }",
            "connect.ca_config.private_key: is needed as well as connect.ca_config.root_cert",
        ),
        (
            "data_dir = \"d\"\nconnect { ca_config { private_key = \"a\" } }",
            "connect.ca_config.root_cert: is needed as well as connect.ca_config.private_key",
        ),
        (
            "data_dir = \"d\"\nconnect { ca_config { private_key = 417 } }",
            "a.hcl: connect.ca_config.private_key: must be a string",
        ),
        ("", "data_dir: is not set"),
        ("data_dir = ", "a.hcl: line 1"),
    ];
    for (text, expected) in cases {
        let error = refusal(text);
        assert!(
            error.contains(expected),
            "{text:?} gave {error:?}, expected {expected:?}"
        );
    }
}

#[test]
fn durations_are_gos() {
    assert_eq!(read::duration("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(read::duration("500ms"), Some(Duration::from_millis(500)));
    for bad in ["", "1", "h", "1x", "-1h", "99999999999h"] {
        assert_eq!(read::duration(bad), None, "{bad}");
    }
}

/// The rows `| `key` | default | ... |` of docs/configuration.md are exactly the table of settings.
#[test]
fn the_documentation_lists_every_setting_with_its_default() {
    let page = include_str!("../../../docs/configuration.md");
    let documented: Vec<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let key = cells.next()?.strip_suffix('`')?;
            Some((key.to_owned(), cells.next()?.trim().to_owned()))
        })
        .collect();
    let known: Vec<(String, String)> = SETTINGS
        .iter()
        .map(|setting| (setting.key.to_owned(), setting.default.to_owned()))
        .collect();
    assert_eq!(documented, known);
}

/// The example file of the documentation loads.
#[test]
fn the_documentations_example_loads() {
    let page = include_str!("../../../docs/configuration.md");
    let example = page
        .split("```hcl\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    load(example).unwrap();
}
