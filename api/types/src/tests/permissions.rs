//! Permissions of intentions.

use super::*;

fn source(permissions: Value) -> Value {
    json!({"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Permissions": permissions}]})
}

fn with(http: Value) -> Value {
    source(json!([{"Action": "allow", "HTTP": {"PathPrefix": "/"}}, {"Action": "deny", "HTTP": http}]))
}

/// Every field, each test of a header once.
fn full() -> Value {
    source(json!([
        {"Action": "allow", "HTTP": {"PathExact": "/a/b%20c", "Methods": ["GET", "PUT"]}},
        {"Action": "deny", "HTTP": {"PathPrefix": "/.", "Header": [
            {"Name": "x-a", "Present": true},
            {"Name": "x-b", "Exact": "v", "Invert": true},
            {"Name": "x-c", "Prefix": "v", "IgnoreCase": true},
            {"Name": "x-d", "Suffix": "v"},
            {"Name": "x-e", "Contains": "a b"},
            {"Name": "x-f", "Regex": "(?i)a|b"}]}},
        {"Action": "deny", "HTTP": {"PathRegex": "/v[0-9]+/.*"}}]))
}

#[test]
fn permissions_are_read_in_either_spelling_and_written_as_they_were() {
    let entry = config(full()).unwrap();
    let written = config_entry_to_json(&entry, None);
    assert_eq!(
        written["Sources"][0]["Permissions"],
        full()["Sources"][0]["Permissions"]
    );
    assert_eq!(written["Sources"][0].get("Action"), None);
    assert_eq!(config(written), Ok(entry));
    let snake = crate::hcl::parse(
        r#"
        kind = "service-intentions"
        name = "api"
        sources = [{
          name = "web"
          permissions = [
            { action = "allow" http { path_exact = "/a" methods = ["get"] } },
            { action = "deny" http { path_regex = "/x|/y" header = [{ name = "X-A" contains = "v" ignore_case = true invert = true }] } },
          ]
        }]"#,
    )
    .unwrap();
    let pascal = source(json!([
        {"Action": "allow", "HTTP": {"PathExact": "/a", "Methods": ["GET"]}},
        {"Action": "deny", "HTTP": {"PathRegex": "/x|/y",
            "Header": [{"Name": "x-a", "Contains": "v", "IgnoreCase": true, "Invert": true}]}}]));
    assert_eq!(config(snake), config(pascal));
}

#[test]
fn refusals_name_the_field_of_a_permission() {
    let header = |header: Value| with(json!({"Header": [{"Name": "x-a", "Present": true}, header]}));
    let cases = [
        (
            source(json!([{"HTTP": {"PathExact": "/"}}])),
            "Sources[0].Permissions[0].Action: is required",
        ),
        (
            source(json!([{"Action": "allow"}])),
            "Sources[0].Permissions[0].HTTP: is required",
        ),
        (
            source(json!([{"Action": "may", "HTTP": {}}])),
            "Sources[0].Permissions[0].Action: is \"may\"",
        ),
        (source(json!([])), "Sources[0].Action: is required"),
        (
            json!({"Kind": "service-intentions", "Name": "api", "Sources": [
                {"Name": "web", "Action": "allow", "Permissions": [{"Action": "deny", "HTTP": {"PathExact": "/"}}]}]}),
            "Sources[0].Action: does not go together with Permissions",
        ),
        (
            json!({"Kind": "service-intentions", "Name": "*", "Sources": [
                {"Name": "web", "Permissions": [{"Action": "deny", "HTTP": {"PathExact": "/"}}]}]}),
            "Sources[0].Permissions: may not be given where the destination is '*'",
        ),
        (
            with(json!({})),
            "Sources[0].Permissions[1].HTTP: needs a condition",
        ),
        (
            with(json!({"Path": "/"})),
            "Sources[0].Permissions[1].HTTP.Path: is not a known field",
        ),
        (
            with(json!({"PathExact": "/a", "PathPrefix": "/b"})),
            "Sources[0].Permissions[1].HTTP: has more than one of PathExact, PathPrefix and PathRegex",
        ),
        (
            with(json!({"PathExact": "a"})),
            "Sources[0].Permissions[1].HTTP.PathExact: is \"a\", must begin with '/'",
        ),
        (
            with(json!({"PathExact": "/a?b"})),
            "Sources[0].Permissions[1].HTTP.PathExact: has '?'",
        ),
        (
            with(json!({"PathPrefix": "/a//b"})),
            "Sources[0].Permissions[1].HTTP.PathPrefix: has '//'",
        ),
        (
            with(json!({"PathExact": "/a/../b"})),
            "Sources[0].Permissions[1].HTTP.PathExact: has a part '.' or '..'",
        ),
        (
            with(json!({"PathPrefix": "/a/../b"})),
            "Sources[0].Permissions[1].HTTP.PathPrefix: has a part '.' or '..'",
        ),
        (
            with(json!({"PathExact": "/%61"})),
            "Sources[0].Permissions[1].HTTP.PathExact: has an escaped 'a'",
        ),
        (
            with(json!({"PathExact": "/%2f"})),
            "Sources[0].Permissions[1].HTTP.PathExact: has an escaped '/'",
        ),
        (
            with(json!({"PathExact": "/%"})),
            "Sources[0].Permissions[1].HTTP.PathExact: has a '%' without",
        ),
        (
            with(json!({"PathExact": "/\u{e4}"})),
            "Sources[0].Permissions[1].HTTP.PathExact: has",
        ),
        (
            with(json!({"PathRegex": "("})),
            "Sources[0].Permissions[1].HTTP.PathRegex: is not a regular expression",
        ),
        (
            with(json!({"Methods": ["BREW"]})),
            "Sources[0].Permissions[1].HTTP.Methods[0]: is \"BREW\"",
        ),
        (
            with(json!({"Methods": ["GET", "get"]})),
            "Sources[0].Permissions[1].HTTP.Methods[1]: is \"get\" again",
        ),
        (
            header(json!({"Exact": "v"})),
            "Sources[0].Permissions[1].HTTP.Header[1].Name: is required",
        ),
        (
            header(json!({"Name": "x_a", "Exact": "v"})),
            "Sources[0].Permissions[1].HTTP.Header[1].Name: \"x_a\" is not",
        ),
        (
            header(json!({"Name": "X-Forwarded-Client-Cert", "Present": true})),
            "Sources[0].Permissions[1].HTTP.Header[1].Name: x-forwarded-client-cert is written by the mesh",
        ),
        (
            header(json!({"Name": ":path", "Exact": "v"})),
            "Sources[0].Permissions[1].HTTP.Header[1].Name: \":path\" is not",
        ),
        (
            header(json!({"Name": "x"})),
            "Sources[0].Permissions[1].HTTP.Header[1]: needs one of Present",
        ),
        (
            header(json!({"Name": "x", "Exact": "a", "Prefix": "b"})),
            "Sources[0].Permissions[1].HTTP.Header[1]: has more than one of Present",
        ),
        (
            header(json!({"Name": "x", "Exact": " a"})),
            "Sources[0].Permissions[1].HTTP.Header[1].Exact: is \" a\"",
        ),
        (
            header(json!({"Name": "x", "Suffix": "a\n"})),
            "Sources[0].Permissions[1].HTTP.Header[1].Suffix: is",
        ),
        (
            header(json!({"Name": "x", "Regex": "a**"})),
            "Sources[0].Permissions[1].HTTP.Header[1].Regex: repeats",
        ),
        (
            header(json!({"Name": "x", "Regex": "a", "IgnoreCase": true})),
            "Sources[0].Permissions[1].HTTP.Header[1].IgnoreCase: goes with",
        ),
        (
            source(json!([{"Action": "deny", "HTTP": {"PathExact": "/"}, "JWT": {"Providers": []}}])),
            "Sources[0].Permissions[0].JWT.Providers: needs at least one",
        ),
    ];
    for (value, expected) in cases {
        let error = config(value.clone()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{value}\n{error}\n{expected}");
    }
    let many = |count: usize| {
        source(json!(vec![
            json!({"Action": "deny", "HTTP": {"PathExact": "/"}});
            count
        ]))
    };
    assert!(config(many(128)).is_ok());
    let error = config(many(129)).unwrap_err().to_string();
    assert_eq!(
        error,
        "Sources[0].Permissions: has 129 permissions, at most 128 are allowed"
    );
}
