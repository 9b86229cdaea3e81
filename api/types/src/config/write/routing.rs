//! From routers, splitters and sameness groups to JSON.

use crate::duration::duration_text;
use peerway_model::config::{
    Destination, HeaderEdits, HeaderTest, Member, PathTest, QueryTest, RequestMatch, RouteDestination,
    SamenessGroup, ServiceRoute, Split, TextTest,
};
use serde_json::{Map, Value, json};

/// A route with Consul's field names.
pub(crate) fn route(route: &ServiceRoute) -> Value {
    let mut out = Map::new();
    let http = request_match(&route.request);
    if !http.is_empty() {
        out.insert("Match".to_owned(), json!({ "HTTP": http }));
    }
    if let Some(destination) = &route.destination {
        out.insert(
            "Destination".to_owned(),
            Value::Object(route_destination(destination)),
        );
    }
    Value::Object(out)
}

/// A split with Consul's field names.
pub(crate) fn split(split: &Split) -> Value {
    let mut out = Map::new();
    out.insert("Weight".to_owned(), weight(split.weight));
    destination(&mut out, &split.to);
    edits(&mut out, "RequestHeaders", &split.request_headers);
    edits(&mut out, "ResponseHeaders", &split.response_headers);
    Value::Object(out)
}

/// Hundredths of a percent as a number of percent.
pub(crate) fn weight(hundredths: u32) -> Value {
    match hundredths % 100 {
        0 => json!(hundredths / 100),
        _ => json!(f64::from(hundredths) / 100.0),
    }
}

pub(super) fn sameness_group(out: &mut Map<String, Value>, group: &SamenessGroup) {
    out.insert("DefaultForFailover".to_owned(), json!(group.default_for_failover));
    out.insert("IncludeLocal".to_owned(), json!(group.include_local));
    let member = |member: &Member| match member {
        Member::Partition(partition) => json!({ "Partition": partition.as_str() }),
        Member::Peer(peer) => json!({ "Peer": peer.as_str() }),
    };
    let members: Vec<Value> = group.members.iter().map(member).collect();
    out.insert("Members".to_owned(), json!(members));
}

/// Adds the fields that say where something leads.
pub(super) fn destination(out: &mut Map<String, Value>, to: &Destination) {
    let Destination {
        service,
        subset,
        namespace,
        partition,
        peer,
    } = to;
    let fields = [
        ("Service", service.as_ref().map(|name| name.as_str())),
        ("ServiceSubset", subset.as_ref().map(|name| name.as_str())),
        ("Namespace", namespace.as_ref().map(|name| name.as_str())),
        ("Partition", partition.as_ref().map(|name| name.as_str())),
        ("Peer", peer.as_ref().map(|name| name.as_str())),
    ];
    for (field, value) in fields {
        text(out, field, value);
    }
}

fn request_match(request: &RequestMatch) -> Map<String, Value> {
    let mut out = Map::new();
    match &request.path {
        PathTest::Any => {}
        PathTest::Exact(path) => text(&mut out, "PathExact", Some(path)),
        PathTest::Prefix(path) => text(&mut out, "PathPrefix", Some(path)),
        PathTest::Regex(path) => text(&mut out, "PathRegex", Some(path.as_str())),
    }
    if request.case_insensitive {
        out.insert("CaseInsensitive".to_owned(), json!(true));
    }
    let header = |header: &HeaderTest| {
        let mut out = text_test(&header.name, &header.test);
        if header.invert {
            out.insert("Invert".to_owned(), json!(true));
        }
        out
    };
    list(&mut out, "Header", request.headers.iter().map(header).collect());
    let parameter = |query: &QueryTest| text_test(&query.name, &query.test);
    list(
        &mut out,
        "QueryParam",
        request.query.iter().map(parameter).collect(),
    );
    if !request.methods.is_empty() {
        out.insert("Methods".to_owned(), json!(request.methods));
    }
    out
}

fn text_test(name: &str, test: &TextTest) -> Map<String, Value> {
    let mut out = Map::new();
    text(&mut out, "Name", Some(name));
    match test {
        TextTest::Present => {
            out.insert("Present".to_owned(), json!(true));
        }
        TextTest::Exact(value) => text(&mut out, "Exact", Some(value)),
        TextTest::Prefix(value) => text(&mut out, "Prefix", Some(value)),
        TextTest::Suffix(value) => text(&mut out, "Suffix", Some(value)),
        TextTest::Regex(value) => text(&mut out, "Regex", Some(value.as_str())),
    }
    out
}

fn route_destination(to: &RouteDestination) -> Map<String, Value> {
    let mut out = Map::new();
    destination(&mut out, &to.to);
    text(&mut out, "PrefixRewrite", to.prefix_rewrite.as_deref());
    timeout(&mut out, "RequestTimeout", to.request_timeout_ms);
    timeout(&mut out, "IdleTimeout", to.idle_timeout_ms);
    put_retries(&mut out, to);
    edits(&mut out, "RequestHeaders", &to.request_headers);
    edits(&mut out, "ResponseHeaders", &to.response_headers);
    out
}

/// Adds the fields that say what is tried again, those that say anything.
pub(in crate::config) fn put_retries(out: &mut Map<String, Value>, to: &RouteDestination) {
    if let Some(count) = to.num_retries {
        out.insert("NumRetries".to_owned(), json!(count));
    }
    if to.retry_on_connect_failure {
        out.insert("RetryOnConnectFailure".to_owned(), json!(true));
    }
    if !to.retry_on.is_empty() {
        out.insert("RetryOn".to_owned(), json!(to.retry_on));
    }
    if !to.retry_on_status_codes.is_empty() {
        out.insert("RetryOnStatusCodes".to_owned(), json!(to.retry_on_status_codes));
    }
}

/// Adds the field, if it says anything.
pub(in crate::config) fn edits(out: &mut Map<String, Value>, field: &str, edits: &HeaderEdits) {
    if edits.is_empty() {
        return;
    }
    let mut inner = Map::new();
    if !edits.add.is_empty() {
        inner.insert("Add".to_owned(), json!(edits.add));
    }
    if !edits.set.is_empty() {
        inner.insert("Set".to_owned(), json!(edits.set));
    }
    if !edits.remove.is_empty() {
        inner.insert("Remove".to_owned(), json!(edits.remove));
    }
    out.insert(field.to_owned(), Value::Object(inner));
}

fn list(out: &mut Map<String, Value>, field: &str, elements: Vec<Map<String, Value>>) {
    if !elements.is_empty() {
        out.insert(field.to_owned(), json!(elements));
    }
}

pub(in crate::config) fn text(out: &mut Map<String, Value>, field: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.insert(field.to_owned(), json!(value));
    }
}

pub(in crate::config) fn timeout(out: &mut Map<String, Value>, field: &str, ms: Option<u64>) {
    if let Some(ms) = ms {
        out.insert(field.to_owned(), json!(duration_text(ms)));
    }
}
