//! What an Envoy shows of itself: statistics for Prometheus and statsd, and readiness. Read from the `Config` of the
//! proxy and of `proxy-defaults`, with Consul's keys (xDS facts, section 7.8).

use super::change::duration;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};

/// Path that is scraped unless a flag says otherwise.
pub(super) const SCRAPE_PATH: &str = "/metrics";
/// How long a client may take to send the headers of its request, in seconds, as Envoy's JSON has it.
const HEADERS_TIMEOUT: &str = "10s";

/// Keys that replace or extend what is generated. Dropping them in silence would leave an operator with an Envoy that
/// is not the one that was asked for.
const NOT_OFFERED: [&str; 8] = [
    "envoy_bootstrap_json_tpl",
    "envoy_extra_static_clusters_json",
    "envoy_extra_static_listeners_json",
    "envoy_extra_stats_sinks_json",
    "envoy_stats_config_json",
    "envoy_telemetry_collector_bind_socket_dir",
    "envoy_tracing_json",
    "envoy_listener_tracing_json",
];

/// What an Envoy shows of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Where Prometheus scrapes, and the path.
    pub prometheus: Option<(SocketAddr, String)>,
    /// Where all statistics are shown.
    pub stats: Option<SocketAddr>,
    /// Where readiness is shown.
    pub ready: Option<SocketAddr>,
    /// How often statistics are flushed to the sinks, in Envoy's text.
    flush_interval: Option<String>,
    /// Where statistics are sent.
    sinks: Vec<Value>,
    /// Labels of all statistics.
    pub tags: Vec<(String, String)>,
}

/// The settings of a proxy: its own before those of all proxies.
pub(super) struct Config<'a> {
    own: &'a Value,
    all: &'a Value,
}

impl<'a> Config<'a> {
    /// `own` and `all` are `Config` objects, or anything else for none.
    pub(super) fn new(own: &'a Value, all: &'a Value) -> Self {
        Config { own, all }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let found = |config: &'a Value| config.get(key).filter(|value| !value.is_null());
        found(self.own).or_else(|| found(self.all))
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty()).map(String::as_str)),
            Some(other) => bail!("{key} is {other}, it must be a text"),
        }
    }
}

impl Observed {
    /// Reads the settings. `resolve` turns `host:port` into an address; `env` reads the environment.
    ///
    /// # Errors
    /// What cannot be used, with its key.
    pub(super) fn read(
        config: &Config<'_>,
        scrape_path: &str,
        resolve: impl Fn(&str) -> Result<SocketAddr>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        for key in NOT_OFFERED {
            if config.text(key)?.is_some() {
                bail!("{key} is not offered yet, remove it");
            }
        }
        if !scrape_path.starts_with('/') {
            bail!("-prometheus-scrape-path is {scrape_path:?}, it must begin with '/'");
        }
        let bound = |key: &'static str| -> Result<Option<SocketAddr>> {
            config
                .text(key)?
                .map(|text| resolve(text).context(key))
                .transpose()
        };
        let mut sinks = Vec::new();
        for (key, name, kind, sockets) in [
            ("envoy_statsd_url", "envoy.stat_sinks.statsd", "StatsdSink", false),
            (
                "envoy_dogstatsd_url",
                "envoy.stat_sinks.dog_statsd",
                "DogStatsdSink",
                true,
            ),
        ] {
            if let Some(url) = config.text(key)? {
                let address = sink_address(url, sockets, &resolve, &env).context(key)?;
                sinks.push(json!({
                    "name": name,
                    "typed_config": {
                        "@type": format!("type.googleapis.com/envoy.config.metrics.v3.{kind}"),
                        "address": address,
                    },
                }));
            }
        }
        let flush = "envoy_stats_flush_interval";
        let flush_interval = match config.text(flush)? {
            None => None,
            Some(text) => {
                let interval = duration(text).map_err(anyhow::Error::msg).context(flush)?;
                if interval.is_zero() {
                    bail!("{flush} is {text:?}, it must be longer than nothing");
                }
                Some(format!("{}.{:03}s", interval.as_secs(), interval.subsec_millis()))
            }
        };
        Ok(Observed {
            prometheus: bound("envoy_prometheus_bind_addr")?.map(|at| (at, scrape_path.to_owned())),
            stats: bound("envoy_stats_bind_addr")?,
            ready: None,
            flush_interval,
            sinks,
            tags: tags(config)?,
        })
    }

    /// Adds to a bootstrap what it takes.
    pub(super) fn put(&self, bootstrap: &mut Map<String, Value>, admin: &Value) {
        let mut listeners = Vec::new();
        if let Some((at, path)) = &self.prometheus {
            listeners.push(listener(
                "envoy_prometheus_metrics_listener",
                *at,
                &json!({ "path": path }),
                "/stats/prometheus",
            ));
        }
        if let Some(at) = self.stats {
            // What is asked below it, such as a format, is asked of Envoy.
            listeners.push(listener(
                "envoy_metrics_listener",
                at,
                &json!({ "path_separated_prefix": "/stats" }),
                "/stats",
            ));
        }
        if let Some(at) = self.ready {
            listeners.push(listener(
                "envoy_ready_listener",
                at,
                &json!({ "path": "/ready" }),
                "/ready",
            ));
        }
        if !listeners.is_empty() {
            let own = json!({
                "name": "self_admin",
                "type": "STATIC",
                "connect_timeout": "5s",
                "load_assignment": {
                    "cluster_name": "self_admin",
                    "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": admin } }] }],
                },
            });
            if let Some(clusters) = bootstrap
                .get_mut("static_resources")
                .and_then(|resources| resources.get_mut("clusters"))
                .and_then(Value::as_array_mut)
            {
                clusters.push(own);
            }
            if let Some(Value::Object(resources)) = bootstrap.get_mut("static_resources") {
                resources.insert("listeners".to_owned(), Value::Array(listeners));
            }
        }
        if let Some(interval) = &self.flush_interval {
            bootstrap.insert("stats_flush_interval".to_owned(), json!(interval));
        }
        if !self.sinks.is_empty() {
            bootstrap.insert("stats_sinks".to_owned(), json!(self.sinks));
        }
    }
}

/// A listener that passes one path on to Envoy's own admin interface, and nothing else of it.
fn listener(name: &str, at: SocketAddr, matched: &Value, rewrite: &str) -> Value {
    let route = json!({ "cluster": "self_admin", "prefix_rewrite": rewrite });
    json!({
        "name": name,
        "address": super::bootstrap::address(at),
        // They show what is wrong with an Envoy, such as that it has all the connections that it may have.
        "ignore_global_conn_limit": true,
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "codec_type": "HTTP1",
                "normalize_path": true,
                "merge_slashes": true,
                "path_with_escaped_slashes_action": "REJECT_REQUEST",
                "request_headers_timeout": HEADERS_TIMEOUT,
                "route_config": {
                    "name": name,
                    "virtual_hosts": [{
                        "name": name,
                        "domains": ["*"],
                        "routes": [
                            { "match": with_get(matched), "route": route },
                            { "match": { "prefix": "/" }, "direct_response": { "status": 404 } },
                        ],
                    }],
                },
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                }],
            },
        }] }],
    })
}

/// Only reading: the admin interface has requests that change Envoy.
fn with_get(matched: &Value) -> Value {
    let mut matched = matched.clone();
    matched["headers"] = json!([{ "name": ":method", "string_match": { "exact": "GET" } }]);
    matched
}

/// `udp://host:port`, and `unix:///path` for who can.
fn sink_address(
    url: &str,
    sockets: bool,
    resolve: impl Fn(&str) -> Result<SocketAddr>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Value> {
    let url = expanded(url, env)?;
    if let Some(path) = url.strip_prefix("unix://").filter(|_| sockets) {
        return Ok(json!({ "pipe": { "path": path } }));
    }
    match url.strip_prefix("udp://") {
        Some(at) => Ok(super::bootstrap::address(resolve(at)?)),
        None if sockets => bail!("{url:?} must be udp://host:port or unix:///path"),
        None => bail!("{url:?} must be udp://host:port"),
    }
}

/// The variable `HOST_IP`, or any one that is all of the text.
fn expanded(text: &str, env: impl Fn(&str) -> Option<String>) -> Result<String> {
    let value = |name: &str| env(name).with_context(|| format!("the environment variable {name} is not set"));
    let whole = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| text.strip_prefix('$'));
    if let Some(name) = whole
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return value(name);
    }
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    let ip = value("HOST_IP")?;
    // An IPv6 address needs brackets before a port.
    let ip = match ip.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => ip,
    };
    let done = text.replace("${HOST_IP}", &ip).replace("$HOST_IP", &ip);
    if done.contains('$') {
        bail!("{text:?} has another variable than HOST_IP, only that one can be a part of it");
    }
    Ok(done)
}

/// Fixed labels, `name=value` or a bare name.
fn tags(config: &Config<'_>) -> Result<Vec<(String, String)>> {
    const KEY: &str = "envoy_stats_tags";
    let Some(given) = config.get(KEY) else {
        return Ok(Vec::new());
    };
    let each = given
        .as_array()
        .with_context(|| format!("{KEY} is {given}, it must be a list of texts"))?;
    each.iter()
        .map(|tag| {
            let text = tag
                .as_str()
                .with_context(|| format!("{KEY} has {tag}, it must be a list of texts"))?;
            let (name, value) = text.split_once('=').unwrap_or((text, "1"));
            if name.is_empty() {
                bail!("{KEY} has {text:?}, write name=value");
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(own: &Value, all: &Value) -> Result<Observed> {
        Observed::read(
            &Config::new(own, all),
            SCRAPE_PATH,
            |text| {
                text.parse()
                    .with_context(|| format!("{text:?} is not an address"))
            },
            |name| {
                (name == "HOST_IP" || name == "STATSD").then(|| match name {
                    "STATSD" => "udp://10.0.0.9:1".to_owned(),
                    _ => "fd00::1".to_owned(),
                })
            },
        )
    }

    #[test]
    fn what_the_proxy_says_comes_before_what_is_said_of_all() {
        let own = json!({ "envoy_prometheus_bind_addr": "0.0.0.0:9102", "envoy_stats_bind_addr": "" });
        let all = json!({
            "envoy_prometheus_bind_addr": "0.0.0.0:1",
            "envoy_stats_bind_addr": "127.0.0.1:9103",
            "envoy_stats_flush_interval": "1500ms",
            "envoy_stats_tags": ["team=a", "canary", "b=c=d"],
            "envoy_statsd_url": "$STATSD",
            "envoy_dogstatsd_url": "udp://${HOST_IP}:8125",
        });
        let observed = read(&own, &all).unwrap();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(
            observed.prometheus,
            Some((at("0.0.0.0:9102"), "/metrics".to_owned()))
        );
        assert_eq!(observed.stats, None, "an empty text takes it back");
        assert_eq!(observed.flush_interval.as_deref(), Some("1.500s"));
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            observed.tags,
            [tag("team", "a"), tag("canary", "1"), tag("b", "c=d")]
        );
        let addresses: Vec<String> = observed
            .sinks
            .iter()
            .map(|sink| {
                sink["typed_config"]["address"]["socket_address"]["address"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(addresses, ["10.0.0.9", "fd00::1"]);
        assert_eq!(read(&Value::Null, &Value::Null).unwrap(), Observed::default());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_key() {
        for (key, value) in [
            ("envoy_prometheus_bind_addr", json!("9102")),
            ("envoy_prometheus_bind_addr", json!(9102)),
            ("envoy_stats_bind_addr", json!("x")),
            ("envoy_stats_flush_interval", json!("soon")),
            ("envoy_stats_flush_interval", json!("0s")),
            ("envoy_stats_tags", json!("a=b")),
            ("envoy_stats_tags", json!([1])),
            ("envoy_stats_tags", json!(["=b"])),
            ("envoy_statsd_url", json!("unix:///run/statsd")),
            ("envoy_statsd_url", json!("tcp://127.0.0.1:1")),
            ("envoy_statsd_url", json!("udp://$HOST_IPS:1")),
            ("envoy_dogstatsd_url", json!("udp://${POD}:1")),
            ("envoy_dogstatsd_url", json!("$MISSING")),
            ("envoy_tracing_json", json!("{}")),
            ("envoy_bootstrap_json_tpl", json!("{}")),
        ] {
            let error = format!("{:#}", read(&json!({ key: value }), &Value::Null).unwrap_err());
            assert!(error.contains(key), "{error}");
        }
        let sockets = read(&json!({ "envoy_dogstatsd_url": "unix:///run/d" }), &Value::Null).unwrap();
        assert_eq!(
            sockets.sinks[0]["typed_config"]["address"]["pipe"]["path"],
            "/run/d"
        );
    }

    #[test]
    fn only_what_is_asked_for_is_put_into_a_bootstrap() {
        let put = |observed: &Observed| {
            let mut bootstrap = Map::new();
            bootstrap.insert("static_resources".to_owned(), json!({ "clusters": [] }));
            observed.put(&mut bootstrap, &json!({}));
            Value::Object(bootstrap)
        };
        assert_eq!(
            put(&Observed::default()),
            json!({ "static_resources": { "clusters": [] } })
        );
        let all = put(&Observed {
            ready: Some("127.0.0.1:9104".parse().unwrap()),
            ..read(
                &json!({ "envoy_prometheus_bind_addr": "0.0.0.0:9102", "envoy_stats_bind_addr": "127.0.0.1:9103" }),
                &Value::Null,
            )
            .unwrap()
        });
        assert_eq!(all["static_resources"]["clusters"][0]["name"], "self_admin");
        let names: Vec<&str> = all["static_resources"]["listeners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|listener| listener["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "envoy_prometheus_metrics_listener",
                "envoy_metrics_listener",
                "envoy_ready_listener"
            ]
        );
    }
}
