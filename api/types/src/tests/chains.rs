//! Routers, splitters, resolvers and sameness groups: every field, both spellings, and what is refused.

use super::*;

fn router() -> Value {
    json!({"Kind": "service-router", "Name": "web", "Meta": {"a": "b"}, "Routes": [
        {"Match": {"HTTP": {"PathPrefix": "/a/", "CaseInsensitive": true, "Methods": ["GET", "PUT"],
            "Header": [
                {"Name": "x-one", "Present": true},
                {"Name": "x-two", "Exact": "2", "Invert": true},
                {"Name": "x-three", "Prefix": "3"},
                {"Name": "x-four", "Suffix": "4"},
                {"Name": "x-five", "Regex": "5+"}],
            "QueryParam": [
                {"Name": "q", "Present": true},
                {"Name": "r", "Exact": "1"},
                {"Name": "s", "Regex": "a|b"}]}},
         "Destination": {"Service": "api", "ServiceSubset": "v1", "Namespace": "team", "Partition": "billing",
            "PrefixRewrite": "/", "RequestTimeout": "5s", "IdleTimeout": "1m30s", "NumRetries": 3,
            "RetryOnConnectFailure": true, "RetryOn": ["5xx", "reset"], "RetryOnStatusCodes": [401, 503],
            "RequestHeaders": {"Add": {"x-a": "1"}, "Set": {"x-b": "2"}, "Remove": ["x-c"]},
            "ResponseHeaders": {"Set": {"x-d": "3"}}}},
        {"Match": {"HTTP": {"PathExact": "/b"}}, "Destination": {"Service": "api", "Peer": "west"}},
        {"Match": {"HTTP": {"PathRegex": "/c/[0-9]+"}}},
        {}]})
}

fn splitter() -> Value {
    json!({"Kind": "service-splitter", "Name": "web", "Splits": [
        {"Weight": 90.05, "ServiceSubset": "v1", "RequestHeaders": {"Set": {"x": "y"}}},
        {"Weight": 9.9, "Service": "api", "Namespace": "team", "Peer": "west",
            "ResponseHeaders": {"Add": {"a": "b"}, "Remove": ["c"]}},
        {"Weight": 0.05, "Service": "api", "Partition": "billing"}]})
}

fn resolver() -> Value {
    json!({"Kind": "service-resolver", "Name": "web", "Namespace": "team", "Partition": "billing",
        "DefaultSubset": "v1",
        "Subsets": {
            "v1": {"Filter": "Service.Meta.version == \"1\"", "OnlyPassing": true},
            "v2": {"Filter": "\"two\" in Service.Tags"}},
        "Failover": {
            "*": {"Targets": [{"Peer": "west"}, {"Service": "api", "ServiceSubset": "v9", "Namespace": "x",
                "Partition": "y"}, {"Service": "api", "Peer": "east", "Namespace": "z"}]},
            "v1": {"SamenessGroup": "all"}},
        "PrioritizeByLocality": {"Mode": "failover"},
        "ConnectTimeout": "250ms", "RequestTimeout": "1h0m0s",
        "LoadBalancer": {"Policy": "ring_hash", "RingHashConfig": {"MinimumRingSize": 8, "MaximumRingSize": 64},
            "HashPolicies": [
                {"Field": "header", "FieldValue": "x-user", "Terminal": true},
                {"Field": "query_parameter", "FieldValue": "user"},
                {"Field": "cookie", "FieldValue": "c", "CookieConfig": {"TTL": "5s", "Path": "/"}},
                {"Field": "cookie", "FieldValue": "d", "CookieConfig": {"Session": true}},
                {"SourceIP": true}]}})
}

fn group() -> Value {
    json!({"Kind": "sameness-group", "Name": "all", "DefaultForFailover": true, "IncludeLocal": true,
        "Members": [{"Peer": "west"}, {"Partition": "billing"}]})
}

#[test]
fn what_is_shown_is_what_was_written() {
    let plain = |more: Value| {
        let mut entry = json!({"Kind": "service-resolver", "Name": "web"});
        for (key, value) in more.as_object().unwrap() {
            entry[key] = value.clone();
        }
        entry
    };
    let balanced = |balancer: Value| plain(json!({ "LoadBalancer": balancer }));
    for value in [
        router(),
        splitter(),
        resolver(),
        group(),
        plain(
            json!({"Redirect": {"Service": "api", "ServiceSubset": "v1", "Namespace": "x", "Partition": "y"}}),
        ),
        plain(json!({"Redirect": {"Service": "api", "Peer": "west"}})),
        balanced(json!({"Policy": "random"})),
        balanced(json!({"Policy": "round_robin"})),
        balanced(json!({"Policy": "maglev", "HashPolicies": [{"SourceIP": true, "Terminal": true}]})),
        balanced(json!({"Policy": "least_request", "LeastRequestConfig": {"ChoiceCount": 4}})),
    ] {
        let entry = config(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(config_entry_to_json(&entry, None), value);
        assert_eq!(config(snake(&value)), Ok(entry));
    }
}

/// The same with keys as HCL users write them. Keys under these fields are names and not fields.
fn snake(value: &Value) -> Value {
    const NAMES_UNDER: [&str; 5] = ["Subsets", "Failover", "Meta", "Add", "Set"];
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| {
                let mut folded = String::new();
                let mut before = '_';
                for c in key.chars() {
                    if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
                        folded.push('_');
                    }
                    folded.push(c.to_ascii_lowercase());
                    before = c;
                }
                let value = match (NAMES_UNDER.contains(&key.as_str()), value) {
                    (true, Value::Object(named)) => named
                        .iter()
                        .map(|(name, value)| (name.clone(), snake(value)))
                        .collect(),
                    _ => snake(value),
                };
                (folded, value)
            })
            .collect(),
        Value::Array(elements) => elements.iter().map(snake).collect(),
        other => other.clone(),
    }
}

#[test]
fn hcl_says_it_too() {
    let hcl = r#"
        Kind = "service-splitter"
        Name = "web"
        Splits = [
          { Weight = 90 ServiceSubset = "v1" },
          { weight = "10" service = "api" peer = "west" },
        ]
    "#;
    let json = json!({"Kind": "service-splitter", "Name": "web", "Splits": [
        {"Weight": 90.0, "ServiceSubset": "v1"}, {"Weight": 10, "Service": "api", "Peer": "west"}]});
    assert_eq!(config(crate::hcl::parse(hcl).unwrap()), config(json));
}

#[test]
fn consuls_short_failover_is_one_target() {
    let of = |failover: Value| {
        config(json!({"Kind": "service-resolver", "Name": "web", "Failover": {"*": failover}}))
    };
    assert_eq!(
        of(json!({"Service": "api", "ServiceSubset": "v1"})),
        of(json!({"Targets": [{"Service": "api", "ServiceSubset": "v1"}]}))
    );
}

fn routed(route: Value) -> Value {
    json!({"Kind": "service-router", "Name": "web", "Routes": [route]})
}

fn matched(http: Value) -> Value {
    routed(json!({"Match": {"HTTP": http}}))
}

fn led(destination: Value) -> Value {
    routed(json!({"Match": {"HTTP": {"PathPrefix": "/"}}, "Destination": destination}))
}

fn split(splits: Value) -> Value {
    json!({"Kind": "service-splitter", "Name": "web", "Splits": splits})
}

fn resolved(field: &str, value: Value) -> Value {
    let mut entry = json!({"Kind": "service-resolver", "Name": "web", "Subsets": {"v1": {}}});
    entry[field] = value;
    entry
}

fn refused(cases: impl IntoIterator<Item = (Value, &'static str)>) {
    for (value, expected) in cases {
        let error = config(value.clone()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{value}\n{error}\n{expected}");
    }
}

#[test]
fn refusals_of_routers_name_the_field() {
    let at = |field: &str, rest: &str| -> &'static str {
        Box::leak(format!("Routes[0].{field}: {rest}").into_boxed_str())
    };
    refused([
        (
            matched(json!({"PathExact": "/a", "PathPrefix": "/b"})),
            at("Match.HTTP", "has more than one"),
        ),
        (
            matched(json!({"PathExact": "a"})),
            at("Match.HTTP.PathExact", "is \"a\", must begin with '/'"),
        ),
        (
            matched(json!({"PathPrefix": "/a?b"})),
            at("Match.HTTP.PathPrefix", "has a '?'"),
        ),
        (
            matched(json!({"PathRegex": "("})),
            at("Match.HTTP.PathRegex", "is not a regular expression"),
        ),
        (
            matched(json!({"Methods": ["FETCH"]})),
            at("Match.HTTP.Methods[0]", "is \"FETCH\""),
        ),
        (
            matched(json!({"Methods": ["get", "GET"]})),
            at("Match.HTTP.Methods[1]", "GET is given more than once"),
        ),
        (
            matched(json!({"Header": [{"Exact": "x"}]})),
            at("Match.HTTP.Header[0].Name", "is required"),
        ),
        (
            matched(json!({"Header": [{"Name": "x"}]})),
            at("Match.HTTP.Header[0]", "needs one of Present"),
        ),
        (
            matched(json!({"Header": [{"Name": "a b", "Present": true}]})),
            at("Match.HTTP.Header[0].Name", "\"a b\" is not the name of a header"),
        ),
        (
            matched(json!({"Header": [{"Name": "x", "Exact": "1", "Regex": "2"}]})),
            at("Match.HTTP.Header[0]", "has more than one"),
        ),
        (
            matched(json!({"QueryParam": [{"Name": "x", "Prefix": "1"}]})),
            at("Match.HTTP.QueryParam[0].Prefix", "is not a known field"),
        ),
        (
            matched(json!({"Query": []})),
            at("Match.HTTP.Query", "is not a known field"),
        ),
        (
            routed(json!({"Destination": {"PrefixRewrite": "/x"}})),
            at("Destination.PrefixRewrite", "needs a PathExact or PathPrefix"),
        ),
        (
            led(json!({"Peer": "west", "ServiceSubset": "v1"})),
            at("Destination.ServiceSubset", "does not go together with Peer"),
        ),
        (
            led(json!({"Peer": "west", "Partition": "p"})),
            at("Destination.Partition", "does not go together with Peer"),
        ),
        (
            led(json!({"RequestTimeout": "5"})),
            at("Destination.RequestTimeout", "is \"5\", write a duration"),
        ),
        (
            led(json!({"IdleTimeout": "48h"})),
            at("Destination.IdleTimeout", "must be at most 24 hours"),
        ),
        (
            led(json!({"NumRetries": 101})),
            at("Destination.NumRetries", "must be at most 100"),
        ),
        (
            led(json!({"RetryOn": ["always"]})),
            at("Destination.RetryOn[0]", "is \"always\", use one of 5xx"),
        ),
        (
            led(json!({"RetryOnStatusCodes": [99]})),
            at("Destination.RetryOnStatusCodes[0]", "is 99"),
        ),
        (
            led(json!({"RequestHeaders": {"Set": {"x-forwarded-client-cert": "URI=me"}}})),
            at(
                "Destination.RequestHeaders.Set.x-forwarded-client-cert",
                "\"x-forwarded-client-cert\" is written by",
            ),
        ),
        (
            led(json!({"RequestHeaders": {"Add": {"X-Envoy-Max-Retries": "9"}}})),
            at(
                "Destination.RequestHeaders.Add.X-Envoy-Max-Retries",
                "\"X-Envoy-Max-Retries\" is written by",
            ),
        ),
        (
            led(json!({"RequestHeaders": {"Remove": [":path"]}})),
            at("Destination.RequestHeaders.Remove[0]", "\":path\" is written by"),
        ),
        (
            led(json!({"ResponseHeaders": {"Set": {"x": "a\nb"}}})),
            at("Destination.ResponseHeaders.Set.x", "must be at most"),
        ),
        (
            led(json!({"ResponseHeaders": {"Set": {"x": "%NO%"}}})),
            at("Destination.ResponseHeaders.Set.x", "has a '%'"),
        ),
    ]);
}

#[test]
fn refusals_of_splitters_name_the_field() {
    refused([
        (split(json!([])), "Splits: needs at least one split"),
        (
            split(json!([{"Weight": 99}])),
            "Splits: the weights add up to 99.00, must be 100",
        ),
        (
            split(json!([{"Weight": 33.333}])),
            "Splits[0].Weight: expected a number from 0 to 100",
        ),
        (
            split(json!([{"Weight": 101}])),
            "Splits[0].Weight: expected a number from 0 to 100",
        ),
        (
            split(json!([{"Weight": -1}])),
            "Splits[0].Weight: expected a number from 0 to 100",
        ),
        (
            split(json!([{"Weight": 50}, {"Weight": 50, "Service": "web"}])),
            "Splits[1]: leads where an earlier split leads",
        ),
        (
            split(json!([{"Weight": 100, "Peer": "west", "ServiceSubset": "x"}])),
            "Splits[0].ServiceSubset: does not go together with Peer",
        ),
    ]);
}

#[test]
fn refusals_of_resolvers_and_groups_name_the_field() {
    refused([
        (
            resolved("DefaultSubset", json!("v2")),
            "DefaultSubset: there is no subset \"v2\"",
        ),
        (
            resolved("Subsets", json!({"a.b": {}})),
            "Subsets.a.b: \"a.b\" is not a valid name",
        ),
        (
            resolved("Subsets", json!({"v1": {"Filter": "Service.Colour == x"}})),
            "Subsets.v1.Filter: at byte 0: \"Service.Colour\" is not a field",
        ),
        (resolved("Redirect", json!({})), "Redirect: is empty"),
        (
            resolved("Redirect", json!({"Service": "web"})),
            "Redirect.Service: is the service itself",
        ),
        (
            resolved("Redirect", json!({"Peer": "west"})),
            "Redirect.Service: is required with Peer",
        ),
        (
            resolved("Redirect", json!({"ServiceSubset": "v1"})),
            "Redirect.Service: is required with ServiceSubset",
        ),
        (
            resolved("Redirect", json!({"Service": "a", "Datacenter": "dc2"})),
            "Redirect.Datacenter: is not offered",
        ),
        (
            json!({"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "a"},
            "Failover": {"*": {"Service": "b"}}}),
            "Failover: does not go together with Redirect",
        ),
        (
            json!({"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "a"},
            "PrioritizeByLocality": {"Mode": "none"}}),
            "PrioritizeByLocality: does not go together with Redirect",
        ),
        (
            resolved("PrioritizeByLocality", json!({"Mode": "nearest"})),
            "PrioritizeByLocality.Mode: is \"nearest\", use \"none\" or \"failover\"",
        ),
        (
            resolved("PrioritizeByLocality", json!({"Regions": []})),
            "PrioritizeByLocality.Regions: is not a known field",
        ),
        (resolved("Failover", json!({"*": {}})), "Failover.*: is empty"),
        (
            resolved("Failover", json!({"v2": {"Service": "a"}})),
            "Failover[\"v2\"]: there is no subset \"v2\"",
        ),
        (
            resolved("Failover", json!({"*": {"Service": "a", "SamenessGroup": "g"}})),
            "Failover.*: has more than one",
        ),
        (
            resolved(
                "Failover",
                json!({"*": {"Targets": [{"Peer": "west", "ServiceSubset": "x"}]}}),
            ),
            "Failover[\"*\"].Targets[0].ServiceSubset: does not go together with Peer",
        ),
        (
            resolved("Failover", json!({"*": {"Datacenters": ["dc2"]}})),
            "Failover.*.Datacenters: is not offered yet",
        ),
        (
            resolved("ConnectTimeout", json!("soon")),
            "ConnectTimeout: is \"soon\", write a duration",
        ),
        (
            resolved("LoadBalancer", json!({"Policy": "luck"})),
            "LoadBalancer.Policy: is \"luck\", use random",
        ),
        (
            resolved(
                "LoadBalancer",
                json!({"Policy": "maglev", "RingHashConfig": {"MinimumRingSize": 1}}),
            ),
            "LoadBalancer.RingHashConfig: needs the Policy \"ring_hash\"",
        ),
        (
            resolved(
                "LoadBalancer",
                json!({"Policy": "ring_hash", "RingHashConfig": {"MaximumRingSize": 9}}),
            ),
            "LoadBalancer.RingHashConfig.MinimumRingSize: is larger",
        ),
        (
            resolved(
                "LoadBalancer",
                json!({"Policy": "random", "HashPolicies": [{"SourceIP": true}]}),
            ),
            "LoadBalancer.HashPolicies: needs a Policy that hashes",
        ),
        (
            resolved(
                "LoadBalancer",
                json!({"Policy": "least_request", "LeastRequestConfig": {"ChoiceCount": 1}}),
            ),
            "LoadBalancer.LeastRequestConfig.ChoiceCount: must be from 2",
        ),
        (
            resolved(
                "LoadBalancer",
                json!({"Policy": "maglev", "HashPolicies": [{"Field": "body"}]}),
            ),
            "LoadBalancer.HashPolicies[0].Field: is \"body\"",
        ),
        (
            resolved(
                "LoadBalancer",
                json!({"Policy": "maglev", "HashPolicies": [{"Field": "cookie",
            "FieldValue": "c", "CookieConfig": {"Session": true, "TTL": "1s"}}]}),
            ),
            "LoadBalancer.HashPolicies[0].CookieConfig: has both Session and TTL",
        ),
        (
            json!({"Kind": "sameness-group", "Name": "g", "Members": [{"Peer": "a"}, {"Peer": "a"}]}),
            "Members[1]: is given more than once",
        ),
        (
            json!({"Kind": "sameness-group", "Name": "g", "Members": [{}]}),
            "Members[0]: needs a Peer or a Partition",
        ),
        (
            json!({"Kind": "sameness-group", "Name": "g", "DefaultForFailover": true, "Members": [{"Peer": "a"}]}),
            "DefaultForFailover: needs the partition itself",
        ),
    ]);
}
