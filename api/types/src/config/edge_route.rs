//! `http-route` and `tcp-route`.

use super::api_gateway::same_place;
use super::read::routing::{merged_edits, named, retries, timeout};
use super::upstreams::usual_namespace;
use super::write::routing::{edits, put_retries, text, timeout as put_timeout};
use crate::fields::Fields;
use peerway_model::config::{
    HeaderEdits, HeaderTest, HttpRoute, HttpRule, PathTest, QueryTest, RequestMatch, RouteDestination,
    RouteParent, RouteService, TcpRoute, TextTest,
};
use peerway_model::name::Partition;
use peerway_model::{Invalid, Namespace, PeerName, Regular, ServiceName, Tenancy};
use serde_json::{Map, Value, json};

/// Why a gateway looks at no tokens.
const JWT: &str = "is not offered at gateways, where it would only hold for calls through them: write JWT into the \
    service-intentions of the services";
/// The kind of what routes attach themselves to.
const PARENT: &str = "api-gateway";

pub(super) fn http_route(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<HttpRoute, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let parents = parents(&mut fields, &tenancy)?;
    let hostnames = fields.texts("Hostnames")?;
    let rules = fields
        .objects("Rules")?
        .into_iter()
        .map(|one| rule(one, &tenancy))
        .collect::<Result<_, _>>()?;
    // What clients read and send back.
    fields.tolerate(&["Status"]);
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(HttpRoute {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        parents,
        hostnames,
        rules,
        meta,
    })
}

pub(super) fn tcp_route(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<TcpRoute, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let parents = parents(&mut fields, &tenancy)?;
    let at = fields.at("Services");
    let mut services = fields.objects("Services")?;
    let service = match (services.pop(), services.is_empty()) {
        (Some(one), true) => service(one, &tenancy, false)?,
        (Some(_), false) => {
            return Err(Invalid::new(
                at,
                "has more than one service, bytes go to one: split them with a service-splitter where they are requests",
            ));
        }
        (None, _) => return Err(Invalid::new(at, "needs a service")),
    };
    fields.tolerate(&["Status"]);
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(TcpRoute {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        parents,
        service,
        meta,
    })
}

fn parents(fields: &mut Fields<'_>, tenancy: &Tenancy) -> Result<Vec<RouteParent>, Invalid> {
    let parent = |mut fields: Fields<'_>| {
        let kind_at = fields.at("Kind");
        let kind = fields.text_or_empty("Kind")?;
        if !matches!(kind.as_str(), "" | PARENT) {
            return Err(Invalid::new(
                kind_at,
                format!("is {kind:?}, routes attach themselves to an {PARENT:?}"),
            ));
        }
        let name_at = fields.at("Name");
        let gateway = ServiceName::new(&fields.required("Name")?).map_err(|error| error.within(&name_at))?;
        let listener = fields.nonempty("SectionName")?;
        same_place(&mut fields, tenancy, "an api-gateway", "routes")?;
        fields.finish()?;
        Ok(RouteParent { gateway, listener })
    };
    fields.objects("Parents")?.into_iter().map(parent).collect()
}

fn rule(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<HttpRule, Invalid> {
    let matches = fields
        .objects("Matches")?
        .into_iter()
        .map(request_match)
        .collect::<Result<_, _>>()?;
    let mut how = RouteDestination::default();
    if let Some(mut filters) = fields.object("Filters")? {
        how.request_headers = merged_edits(&mut filters, "Headers")?;
        if let Some(mut rewrite) = filters.object("URLRewrite")? {
            how.prefix_rewrite = rewrite.nonempty("Path")?;
            rewrite.finish()?;
        }
        if let Some(mut retry) = filters.object("RetryFilter")? {
            retries(&mut retry, &mut how)?;
            retry.finish()?;
        }
        if let Some(mut timeouts) = filters.object("TimeoutFilter")? {
            how.request_timeout_ms = timeout(&mut timeouts, "RequestTimeout")?;
            how.idle_timeout_ms = timeout(&mut timeouts, "IdleTimeout")?;
            timeouts.finish()?;
        }
        filters.refused("JWT", JWT)?;
        filters.finish()?;
    }
    how.response_headers = response_filters(&mut fields)?;
    let services = fields
        .objects("Services")?
        .into_iter()
        .map(|one| service(one, tenancy, true))
        .collect::<Result<_, _>>()?;
    fields.finish()?;
    Ok(HttpRule {
        matches,
        how,
        services,
    })
}

fn response_filters(fields: &mut Fields<'_>) -> Result<HeaderEdits, Invalid> {
    let Some(mut filters) = fields.object("ResponseFilters")? else {
        return Ok(HeaderEdits::default());
    };
    let headers = merged_edits(&mut filters, "Headers")?;
    filters.finish()?;
    Ok(headers)
}

fn service(mut fields: Fields<'_>, tenancy: &Tenancy, http: bool) -> Result<RouteService, Invalid> {
    let name_at = fields.at("Name");
    let name = ServiceName::new(&fields.required("Name")?).map_err(|error| error.within(&name_at))?;
    let peer = fields.parsed("Peer", PeerName::new)?;
    let namespace = fields.parsed("Namespace", Namespace::new)?;
    let partition = fields.parsed("Partition", Partition::new)?;
    if peer.is_some() && partition.is_some() {
        return Err(Invalid::new(
            fields.at("Partition"),
            "does not go together with Peer, a peering belongs to the partition of the route",
        ));
    }
    let mut weight = 1;
    let mut request_headers = HeaderEdits::default();
    let mut response_headers = HeaderEdits::default();
    if http {
        let number = fields.number("Weight", u64::from(u32::MAX))?;
        weight = number.map_or(1, |number| u32::try_from(number).unwrap_or(u32::MAX));
        if let Some(mut filters) = fields.object("Filters")? {
            request_headers = merged_edits(&mut filters, "Headers")?;
            for key in ["URLRewrite", "RetryFilter", "TimeoutFilter"] {
                filters.refused(
                    key,
                    "is said for all services of a rule, write it into the Filters of the rule",
                )?;
            }
            filters.refused("JWT", JWT)?;
            filters.finish()?;
        }
        response_headers = response_filters(&mut fields)?;
    } else {
        // Consul has it and does not look at it.
        fields.tolerate(&["Weight"]);
    }
    fields.finish()?;
    let usual = usual_namespace(peer.as_ref(), tenancy);
    Ok(RouteService {
        name,
        namespace: namespace.unwrap_or(usual),
        partition: partition.unwrap_or_else(|| tenancy.partition.clone()),
        peer,
        weight,
        request_headers,
        response_headers,
    })
}

fn request_match(mut fields: Fields<'_>) -> Result<RequestMatch, Invalid> {
    let mut path = PathTest::Any;
    if let Some(mut given) = fields.object("Path")? {
        let at = given.path().to_owned();
        let how = given.text_or_empty("Match")?;
        let value = given.required("Value")?;
        given.finish()?;
        path = match how.as_str() {
            "exact" => PathTest::Exact(value),
            "" | "prefix" => PathTest::Prefix(value),
            "regex" => PathTest::Regex(regular(&at, &value)?),
            other => return Err(unknown(&at, other, "exact, prefix and regex")),
        };
    }
    let headers = fields
        .objects("Headers")?
        .into_iter()
        .map(|one| {
            let (name, test) = test(one, true)?;
            Ok(HeaderTest {
                name,
                test,
                invert: false,
            })
        })
        .collect::<Result<_, Invalid>>()?;
    let query = fields
        .objects("Query")?
        .into_iter()
        .map(|one| {
            let (name, test) = test(one, false)?;
            Ok(QueryTest { name, test })
        })
        .collect::<Result<_, Invalid>>()?;
    let method = fields.nonempty("Method")?;
    fields.finish()?;
    Ok(RequestMatch {
        path,
        case_insensitive: false,
        headers,
        query,
        methods: method
            .into_iter()
            .map(|method| method.to_ascii_uppercase())
            .collect(),
    })
}

/// A question about a text: its name and what is asked.
fn test(mut fields: Fields<'_>, is_header: bool) -> Result<(String, TextTest), Invalid> {
    let at = fields.path().to_owned();
    let name = fields.required("Name")?;
    let how = fields.text_or_empty("Match")?;
    let value = fields.text_or_empty("Value")?;
    fields.finish()?;
    let test = match (how.as_str(), is_header) {
        ("" | "exact", _) => TextTest::Exact(value),
        ("present", _) => TextTest::Present,
        ("regex", _) => TextTest::Regex(regular(&at, &value)?),
        ("prefix", true) => TextTest::Prefix(value),
        ("suffix", true) => TextTest::Suffix(value),
        (other, true) => return Err(unknown(&at, other, "exact, prefix, suffix, present and regex")),
        (other, false) => return Err(unknown(&at, other, "exact, present and regex")),
    };
    Ok((name, test))
}

fn regular(at: &str, value: &str) -> Result<Regular, Invalid> {
    Regular::new(value).map_err(|error| error.within("Value").within(at))
}

fn unknown(at: &str, given: &str, offered: &str) -> Invalid {
    Invalid::new(
        format!("{at}.Match"),
        format!("is {given:?}, offered are {offered}"),
    )
}

pub(super) fn put_http_route(out: &mut Map<String, Value>, entry: &HttpRoute) {
    put_parents(out, &entry.parents);
    if !entry.hostnames.is_empty() {
        out.insert("Hostnames".to_owned(), json!(entry.hostnames));
    }
    let tenancy = Tenancy {
        partition: entry.partition.clone(),
        namespace: entry.namespace.clone(),
    };
    let rules = entry.rules.iter().map(|rule| put_rule(rule, &tenancy)).collect();
    out.insert("Rules".to_owned(), rules);
}

pub(super) fn put_tcp_route(out: &mut Map<String, Value>, entry: &TcpRoute) {
    put_parents(out, &entry.parents);
    let tenancy = Tenancy {
        partition: entry.partition.clone(),
        namespace: entry.namespace.clone(),
    };
    out.insert(
        "Services".to_owned(),
        Value::Array(vec![put_service(&entry.service, &tenancy, false)]),
    );
}

fn put_parents(out: &mut Map<String, Value>, parents: &[RouteParent]) {
    let parent = |parent: &RouteParent| {
        let mut out = Map::new();
        text(&mut out, "Kind", Some(PARENT));
        text(&mut out, "Name", Some(parent.gateway.as_str()));
        text(&mut out, "SectionName", parent.listener.as_deref());
        Value::Object(out)
    };
    out.insert("Parents".to_owned(), parents.iter().map(parent).collect());
}

fn put_rule(rule: &HttpRule, tenancy: &Tenancy) -> Value {
    let HttpRule {
        matches,
        how,
        services,
    } = rule;
    let mut out = Map::new();
    if !matches.is_empty() {
        out.insert("Matches".to_owned(), matches.iter().map(put_match).collect());
    }
    let mut filters = Map::new();
    put_headers(&mut filters, &how.request_headers);
    if let Some(path) = &how.prefix_rewrite {
        filters.insert("URLRewrite".to_owned(), json!({ "Path": path }));
    }
    let mut retry = Map::new();
    put_retries(&mut retry, how);
    let mut timeouts = Map::new();
    put_timeout(&mut timeouts, "RequestTimeout", how.request_timeout_ms);
    put_timeout(&mut timeouts, "IdleTimeout", how.idle_timeout_ms);
    for (field, inner) in [("RetryFilter", retry), ("TimeoutFilter", timeouts)] {
        put_object(&mut filters, field, inner);
    }
    put_object(&mut out, "Filters", filters);
    let mut filters = Map::new();
    put_headers(&mut filters, &how.response_headers);
    put_object(&mut out, "ResponseFilters", filters);
    let services = services
        .iter()
        .map(|service| put_service(service, tenancy, true))
        .collect();
    out.insert("Services".to_owned(), services);
    Value::Object(out)
}

/// A list of one, as Consul has it.
fn put_headers(out: &mut Map<String, Value>, headers: &HeaderEdits) {
    let mut one = Map::new();
    edits(&mut one, "Headers", headers);
    if let Some(inner) = one.remove("Headers") {
        out.insert("Headers".to_owned(), Value::Array(vec![inner]));
    }
}

fn put_object(out: &mut Map<String, Value>, field: &str, inner: Map<String, Value>) {
    if !inner.is_empty() {
        out.insert(field.to_owned(), Value::Object(inner));
    }
}

fn put_service(service: &RouteService, tenancy: &Tenancy, http: bool) -> Value {
    let RouteService {
        name,
        namespace,
        partition,
        peer,
        weight,
        request_headers,
        response_headers,
    } = service;
    let mut out = Map::new();
    text(&mut out, "Name", Some(name.as_str()));
    text(&mut out, "Peer", peer.as_ref().map(|peer| peer.as_str()));
    let elsewhere = *namespace != usual_namespace(peer.as_ref(), tenancy);
    text(&mut out, "Namespace", elsewhere.then_some(namespace.as_str()));
    let elsewhere = *partition != tenancy.partition;
    text(&mut out, "Partition", elsewhere.then_some(partition.as_str()));
    if http {
        out.insert("Weight".to_owned(), json!(weight));
        for (field, headers) in [
            ("Filters", request_headers),
            ("ResponseFilters", response_headers),
        ] {
            let mut filters = Map::new();
            put_headers(&mut filters, headers);
            put_object(&mut out, field, filters);
        }
    }
    Value::Object(out)
}

fn put_match(request: &RequestMatch) -> Value {
    let RequestMatch {
        path,
        case_insensitive: _,
        headers,
        query,
        methods,
    } = request;
    let mut out = Map::new();
    let path = match path {
        PathTest::Any => None,
        PathTest::Exact(path) => Some(("exact", path.as_str())),
        PathTest::Prefix(path) => Some(("prefix", path.as_str())),
        PathTest::Regex(path) => Some(("regex", path.as_str())),
    };
    if let Some((how, value)) = path {
        out.insert("Path".to_owned(), json!({ "Match": how, "Value": value }));
    }
    if !headers.is_empty() {
        let all = headers.iter().map(|header| put_test(&header.name, &header.test));
        out.insert("Headers".to_owned(), all.collect());
    }
    if !query.is_empty() {
        let all = query.iter().map(|query| put_test(&query.name, &query.test));
        out.insert("Query".to_owned(), all.collect());
    }
    text(&mut out, "Method", methods.first().map(String::as_str));
    Value::Object(out)
}

fn put_test(name: &str, test: &TextTest) -> Value {
    match test {
        TextTest::Present => json!({ "Name": name, "Match": "present" }),
        TextTest::Exact(value) => json!({ "Name": name, "Match": "exact", "Value": value }),
        TextTest::Prefix(value) => json!({ "Name": name, "Match": "prefix", "Value": value }),
        TextTest::Suffix(value) => json!({ "Name": name, "Match": "suffix", "Value": value }),
        TextTest::Regex(value) => json!({ "Name": name, "Match": "regex", "Value": value.as_str() }),
    }
}
