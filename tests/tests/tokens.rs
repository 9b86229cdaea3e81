//! JSON Web Tokens in intentions on real Envoys: a good token goes with who calls and not instead of it, in one cluster and
//! across peers; a bad one counts for nothing; keys are written down or fetched.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "tokens/issuer.rs"]
mod issuer;
#[allow(dead_code, reason = "these calls look at less of an answer")]
#[path = "http/scene.rs"]
mod scene;

use anyhow::{Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use issuer::{Issuer, KeyServer, now};
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV};
use scene::{Answer, Client, Http, Request, SETTLE, get};
use serde_json::{Value, json};

const ISSUER: &str = "https://idp.example.com";
/// Everybody of these may call; whoever it is needs a token of an admin.
const ADMINS: &str = r#"JWT { Providers = [{ Name = "idp" VerifyClaims = [{ Path = ["realm", "role"] Value = "admin" }] }] }
    Sources = [{ Name = "web" Peer = "east" Action = "allow" }, { Name = "near" Action = "allow" }]"#;

fn write(http: &Http, text: &str) -> Result<()> {
    http.scene.west.write_config("tokens.hcl", text).map(|_| ())
}

fn provider(keys: &str, more: &str) -> String {
    format!(
        "Kind = \"jwt-provider\"\nName = \"idp\"\nIssuer = \"{ISSUER}\"\nJSONWebKeySet {{ {keys} }}\n{more}"
    )
}

fn local(issuer: &Issuer) -> String {
    let keys = STANDARD.encode(issuer.key_set().to_string());
    format!("Local {{ JWKS = \"{keys}\" }}")
}

fn intentions(http: &Http, text: &str) {
    let entry = format!("Kind = \"service-intentions\"\nName = \"api\"\n{text}");
    write(http, &entry).unwrap();
}

/// What a good token says.
fn claims() -> Value {
    json!({"iss": ISSUER, "aud": ["shop", "api"], "sub": "ann", "exp": now() + 600, "realm": {"role": "admin"}})
}

/// The claims with one that says something else.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn with(token: &str) -> Request {
    get("/hello").header("authorization", &format!("Bearer {token}"))
}

fn wait_status(what: &str, status: u16, mut ask: impl FnMut() -> Option<u16>) {
    wait_for(what, SETTLE, || match ask() {
        Some(now) if now == status => Ok(()),
        other => bail!("{other:?}"),
    })
    .unwrap();
}

/// The values that the application got of a header.
fn got(answer: &Answer, name: &str) -> Vec<String> {
    let headers = answer.json()["headers"].clone();
    let all = headers.as_array().unwrap().iter();
    all.filter(|header| header[0] == name)
        .map(|header| header[1].as_str().unwrap().to_owned())
        .collect()
}

fn status(client: &Client, http: &Http, request: &Request) -> Option<u16> {
    let answer = client.send(http.sidecar(), &http.internal_sni(), request);
    answer.map(|answer| answer.status)
}

/// Tokens that are no good, each for one reason.
fn bad(issuer: &Issuer, other: &Issuer) -> Vec<(&'static str, String)> {
    let good = issuer.token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let unsigned = json!({"alg": "none", "typ": "JWT"}).to_string();
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    vec![
        (
            "another issuer",
            issuer.token(&but("iss", json!("https://nobody.example.com"))),
        ),
        ("no issuer", issuer.token(&but("iss", Value::Null))),
        ("another audience", issuer.token(&but("aud", json!("shop")))),
        ("too old", issuer.token(&but("exp", json!(now() - 600)))),
        ("too early", issuer.token(&but("nbf", json!(now() + 600)))),
        (
            "another role",
            issuer.token(&but("realm", json!({"role": "user"}))),
        ),
        (
            "a role in another place",
            issuer.token(&but("realm", json!("admin"))),
        ),
        (
            "a list of roles",
            issuer.token(&but("realm", json!({"role": ["admin"]}))),
        ),
        ("another key", other.token(&claims())),
        (
            "a bent signature",
            format!("{signed}.{}", signature.replace(['a', 'b', 'c'], "d")),
        ),
        ("no signature", format!("{signed}.")),
        (
            "nobody's signature",
            format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(unsigned)),
        ),
        ("a bent payload", good.replace('.', ".e")),
        ("no token", "admin".to_owned()),
    ]
}

fn tokens_go_with_who_calls(envoy: &str) {
    let http = Http::start(envoy, "http");
    let dir = tempfile::tempdir().unwrap();
    let (issuer, other) = (
        Issuer::new(dir.path(), "one"),
        Issuer::new(dir.path(), "one-other"),
    );
    let more = "Audiences = [\"api\"]\nClockSkewSeconds = 1\nForwarding { HeaderName = \"x-claims\" }";
    write(&http, &provider(&local(&issuer), more)).unwrap();
    intentions(&http, ADMINS);
    let good = issuer.token(&claims());
    wait_status("web to be let in with a token", 200, || {
        Some(http.web(&with(&good)).status)
    });

    // What the token says reaches the application, from nobody but who verified it; the token itself does not.
    let answer = http.web(&with(&good).header("x-claims", "forged"));
    let told = URL_SAFE_NO_PAD.encode(claims().to_string());
    let told: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(told).unwrap()).unwrap();
    let heard = got(&answer, "x-claims");
    assert_eq!(heard.len(), 1, "{heard:?}");
    let heard: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&heard[0]).unwrap()).unwrap();
    assert_eq!((&heard["sub"], &heard["realm"]), (&told["sub"], &told["realm"]));
    assert_eq!(got(&answer, "authorization"), [""; 0]);

    // A peer's caller through its own sidecar and as a client of its own making, and one of the same cluster.
    http.west().register("near");
    http.west().register("spy");
    let (web, near, spy) = (
        http.leaf("east", "web"),
        http.leaf("west", "near"),
        http.leaf("west", "spy"),
    );
    let by_gateway = |request: &Request| {
        let answer = web.send(http.gateway(), &http.exported_sni(), request);
        answer.map(|answer| answer.status)
    };
    assert_eq!(by_gateway(&with(&good)), Some(200));
    assert_eq!(status(&near, &http, &with(&good)), Some(200));
    let none = get("/hello");
    assert_eq!(http.web(&none).status, 403);
    assert_eq!(status(&near, &http, &none), Some(403));
    for (what, token) in bad(&issuer, &other) {
        assert_eq!(http.web(&with(&token)).status, 403, "{what}");
        assert_eq!(by_gateway(&with(&token)), Some(403), "{what}");
        assert_eq!(status(&near, &http, &with(&token)), Some(403), "{what}");
    }
    // A good token beside a bad one is still a good one.
    let both = get(&format!("/hello?access_token={good}")).header("authorization", "Bearer admin");
    assert_eq!(http.web(&both).status, 200);

    // The right token in the wrong hands.
    assert_eq!(http.other(&with(&good)).status, 403);
    assert_eq!(status(&spy, &http, &with(&good)), Some(403));

    permissions_ask_for_tokens(&http, &issuer, &other);
    what_is_named_stays(&http);
    http.finish();
}

fn permissions_ask_for_tokens(http: &Http, issuer: &Issuer, other: &Issuer) {
    intentions(
        http,
        r#"Sources = [{ Name = "web" Peer = "east" Permissions = [
            { Action = "deny" HTTP { PathPrefix = "/" } JWT { Providers = [{ Name = "idp" VerifyClaims = [{ Path = ["sub"] Value = "eve" }] }] } },
            { Action = "allow" HTTP { PathPrefix = "/admin" } JWT { Providers = [{ Name = "idp" VerifyClaims = [{ Path = ["realm", "role"] Value = "admin" }] }] } },
            { Action = "allow" HTTP { PathPrefix = "/hello" } },
        ] }]"#,
    );
    wait_status("web to be let in without a token", 200, || {
        Some(http.web(&get("/hello")).status)
    });
    let ask = |path: &str, token: &str| {
        let request = get(path).header("authorization", &format!("Bearer {token}"));
        http.web(&request)
    };
    let good = issuer.token(&claims());
    assert_eq!(ask("/hello", &good).status, 200);
    assert_eq!(ask("/admin", &good).status, 200);
    assert_eq!(ask("/other", &good).status, 403);
    assert_eq!(http.web(&get("/admin")).status, 403);
    let eve = issuer.token(&but("sub", json!("eve")));
    assert_eq!(ask("/hello", &eve).status, 403);
    assert_eq!(ask("/admin", &eve).status, 403);
    for (what, token) in bad(issuer, other) {
        assert_eq!(ask("/admin", &token).status, 403, "{what}");
        assert_eq!(ask("/hello", &token).status, 200, "{what}");
    }
    // Where no token is asked for, nobody else may say what one says either.
    let answer = http.web(&get("/hello").header("x-claims", "forged"));
    assert_eq!(got(&answer, "x-claims"), [""; 0]);
}

fn what_is_named_stays(http: &Http) {
    let api = http.scene.west.api().unwrap();
    let path = "/v1/config/jwt-provider/idp";
    let refused = api
        .delete(path)
        .unwrap()
        .ok()
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("named by service-intentions api"), "{refused}");
    intentions(
        http,
        r#"Sources = [{ Name = "web" Peer = "east" Action = "allow" }]"#,
    );
    api.delete(path).unwrap().ok().unwrap();
    let listed = http
        .scene
        .west
        .cli(&["config", "list", "-kind=jwt-provider"])
        .unwrap();
    assert!(!listed.contains("idp"), "{listed}");
    wait_status("web to be let in with any token", 200, || {
        Some(http.web(&with("admin")).status)
    });
}

#[test]
fn a_token_goes_with_who_calls() {
    tokens_go_with_who_calls(ENVOY_ENV);
}

#[test]
fn a_token_goes_with_who_calls_with_the_oldest_envoy() {
    tokens_go_with_who_calls(OLDEST_ENVOY_ENV);
}

/// The status of a call with a good token, a bad one and none.
fn answered(http: &Http, good: &str) -> [u16; 3] {
    [with(good), with("admin"), get("/hello")].map(|request| http.web(&request).status)
}

fn keys_are_fetched(envoy: &str) {
    let http = Http::start(envoy, "http");
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::new(dir.path(), "one");
    let good = issuer.token(&claims());
    let server = KeyServer::plain(&issuer.key_set());
    let uri = |scheme: &str, port: u16| format!("Remote {{ URI = \"{scheme}://127.0.0.1:{port}/keys\"");
    let plain = uri("http", server.port);
    write(&http, &provider(&format!("{plain} }}"), "")).unwrap();
    intentions(&http, ADMINS);
    wait_status("the keys to be fetched when they are needed", 200, || {
        Some(http.web(&with(&good)).status)
    });
    assert_eq!(answered(&http, &good), [200, 403, 403]);

    // Nobody asks for the keys in vain: they are there before the first token is.
    let early = KeyServer::plain(&issuer.key_set());
    let fetched = format!(
        "{} FetchAsynchronously = true RetryPolicy {{ NumRetries = 2 }} }}",
        uri("http", early.port)
    );
    write(&http, &provider(&fetched, "")).unwrap();
    wait_for("the keys to be fetched early", SETTLE, || {
        ensure!(early.asked() > 0, "nobody asked");
        Ok(())
    })
    .unwrap();
    wait_status("the keys to be used", 200, || Some(http.web(&with(&good)).status));
    assert_eq!(answered(&http, &good), [200, 403, 403]);

    // With TLS: the server has to be vouched for, and to have the name that is asked for.
    for (name, trusts_it, status) in [
        ("IP:127.0.0.1", true, 200),
        ("IP:127.0.0.1", false, 403),
        ("IP:127.0.0.2", true, 403),
        ("DNS:127.0.0.1", true, 403),
    ] {
        let port = free_port().unwrap();
        let tls = KeyServer::tls(dir.path(), port, name, &issuer.key_set());
        let stranger = KeyServer::certificate(dir.path(), "stranger", "IP:127.0.0.1");
        let trusted = if trusts_it { &tls.certificate } else { &stranger };
        let trusted = trusted.replace('\n', "\\n");
        let keys = format!(
            "{} JWKSCluster {{ TLSCertificates {{ TrustedCA {{ InlineString = \"{trusted}\" }} }} }} }}",
            uri("https", port)
        );
        write(&http, &provider(&keys, "")).unwrap();
        // Envoy connects when a token comes.
        wait_for("the server to be asked", SETTLE, || {
            let now = http.web(&with(&good)).status;
            let envoy = http.scene.api.stats("cluster.jwks_cluster_idp.")?;
            let count = |end: &str| {
                let own = envoy.iter().filter(|(stat, _)| stat.ends_with(end));
                own.map(|(_, count)| *count).sum::<u64>()
            };
            let refused = count("ssl.fail_verify_san") + count("ssl.fail_verify_error");
            ensure!(now == status, "{name}: {now}");
            ensure!(
                status == 200 || refused > 0,
                "{name}: nobody was refused: {envoy:?}"
            );
            Ok(())
        })
        .unwrap();
    }
    http.finish();
}

#[test]
fn keys_are_fetched_from_their_server() {
    keys_are_fetched(ENVOY_ENV);
}

#[test]
fn keys_are_fetched_from_their_server_with_the_oldest_envoy() {
    keys_are_fetched(OLDEST_ENVOY_ENV);
}

/// Roots that a machine does not have make Envoy refuse the server with the keys, and cost nobody anything but tokens.
#[test]
fn roots_that_are_not_there_cost_nothing_but_tokens() {
    let http = Http::start(ENVOY_ENV, "http");
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::new(dir.path(), "one");
    let good = issuer.token(&claims());
    let server = KeyServer::plain(&issuer.key_set());
    let uri = |scheme: &str| format!("URI = \"{scheme}://127.0.0.1:{}/keys\"", server.port);
    let missing = "JWKSCluster { TLSCertificates { TrustedCA { Filename = \"/nowhere/ca.pem\" } } }";
    let keys = format!("Remote {{ {} {missing} }}", uri("https"));
    write(&http, &provider(&keys, "")).unwrap();
    intentions(
        &http,
        r#"Sources = [{ Name = "web" Peer = "east" Permissions = [
            { Action = "allow" HTTP { PathPrefix = "/hello" } },
            { Action = "allow" HTTP { PathPrefix = "/admin" } JWT { Providers = [{ Name = "idp" }] } },
        ] }]"#,
    );
    wait_status("web to be let in", 200, || Some(http.web(&get("/hello")).status));
    wait_for("the server to be refused", SETTLE, || {
        let refused = http.scene.api.sum("cluster_manager.cds.update_rejected")?;
        ensure!(refused > 0, "nothing was refused");
        Ok(())
    })
    .unwrap();
    let admin = get("/admin").header("authorization", &format!("Bearer {good}"));
    assert_eq!(http.web(&admin).status, 403);
    assert_eq!(http.web(&get("/hello")).status, 200);
    write(&http, &provider(&format!("Remote {{ {} }}", uri("http")), "")).unwrap();
    wait_status("the keys to be fetched", 200, || Some(http.web(&admin).status));
}
