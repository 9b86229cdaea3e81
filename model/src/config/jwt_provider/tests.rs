//! What a provider may say, and what of it is refused.

use super::*;

fn provider(keys: KeySource) -> JwtProvider {
    JwtProvider {
        partition: Partition::default(),
        name: ProviderName::new("idp").unwrap(),
        issuer: "https://idp.example.com".to_owned(),
        audiences: Vec::new(),
        keys,
        locations: Vec::new(),
        forwarding: None,
        clock_skew_seconds: DEFAULT_CLOCK_SKEW_SECONDS,
        cache_size: 0,
        meta: Meta::new(),
    }
}

fn local() -> JwtProvider {
    provider(KeySource::Local(KeySet::new("{}").unwrap()))
}

fn remote(uri: &str) -> RemoteKeys {
    RemoteKeys {
        uri: KeyUri::new(uri).unwrap(),
        request_timeout_ms: None,
        cache_ms: None,
        fetch_early: false,
        retries: None,
        discovery: KeyDiscovery::default(),
        connect_timeout_ms: None,
        trusted: None,
    }
}

fn refused(entry: &JwtProvider) -> String {
    entry.validate().err().map(|error| error.path).unwrap_or_default()
}

fn refused_keys(keys: RemoteKeys) -> String {
    refused(&provider(KeySource::Remote(Box::new(keys))))
}

#[test]
fn a_uri_says_whom_to_ask() {
    for (text, https, host, port) in [
        ("https://idp.example.com/keys?a=b", true, "idp.example.com", 443),
        ("http://127.0.0.1:8080/keys", false, "127.0.0.1", 8080),
        ("http://idp", false, "idp", 80),
        ("https://[fd00::1]:8443/", true, "fd00::1", 8443),
        ("https://[fd00::1]/", true, "fd00::1", 443),
    ] {
        let uri = KeyUri::new(text).unwrap();
        assert_eq!(
            (uri.is_https(), uri.host(), uri.address().port),
            (https, host, port),
            "{text}"
        );
        assert_eq!(uri.as_str(), text);
    }
    for bad in [
        "",
        "idp.example.com/keys",
        "ftp://idp/keys",
        "https://",
        "https:///keys",
        "https://a b/",
        "https://u:p@idp/",
        "https://idp/#a",
        "https://idp:0/",
        "https://idp:99999/",
        "https://idp:/",
        "https://[idp]/",
        "https://[::1]x/",
        "https://a..b/",
        "https://fd00::1/",
        "https://idp?a",
        &format!("https://idp/{}", "a".repeat(MAX_URI_BYTES)),
    ] {
        assert!(KeyUri::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn fields_are_refused_by_name() {
    assert_eq!(refused(&local()), "");
    let with = |change: fn(&mut JwtProvider)| {
        let mut entry = local();
        change(&mut entry);
        refused(&entry)
    };
    assert_eq!(with(|own| own.issuer.clear()), "Issuer");
    assert_eq!(with(|own| own.audiences = vec![String::new()]), "Audiences[0]");
    assert_eq!(with(|own| own.clock_skew_seconds = 0), "ClockSkewSeconds");
    assert_eq!(
        with(|own| own.cache_size = MAX_CACHED_TOKENS + 1),
        "CacheConfig.Size"
    );
    assert_eq!(
        with(|own| own.locations = vec![TokenLocation::Cookie("a=b".to_owned())]),
        "Locations[0].Cookie.Name"
    );
    assert_eq!(
        with(|own| own.locations = vec![TokenLocation::QueryParam(String::new())]),
        "Locations[0].QueryParam.Name"
    );
    assert_eq!(
        with(|own| own.locations = vec![TokenLocation::QueryParam("t".to_owned()); 2]),
        "Locations[1]"
    );
    let header = |name: &str, prefix: &str, forward| TokenLocation::Header {
        name: HeaderName::new(name).unwrap(),
        prefix: prefix.to_owned(),
        forward,
    };
    let mut entry = local();
    entry.locations = vec![header("a", "Bearer ", true), header("b", "", false)];
    assert_eq!(refused(&entry), "Locations[1].Header.Forward");
    entry.locations = vec![header("a", "\n", true)];
    assert_eq!(refused(&entry), "Locations[0].Header.ValuePrefix");
    entry.locations = vec![header("a", "Bearer ", false)];
    for bad in ["a", "host", "x-envoy-retry-on"] {
        entry.forwarding = Some(Forwarding {
            header: HeaderName::new(bad).unwrap(),
            pad: false,
        });
        assert_eq!(refused(&entry), "Forwarding.HeaderName", "{bad}");
    }
}

#[test]
fn headers_that_policy_does_not_see_are_known() {
    let mut entry = local();
    assert_eq!(Vec::from_iter(entry.changed_headers()), ["authorization"]);
    entry.locations = vec![TokenLocation::Header {
        name: HeaderName::new("X-Token").unwrap(),
        prefix: String::new(),
        forward: false,
    }];
    entry.forwarding = Some(Forwarding {
        header: HeaderName::new("x-claims").unwrap(),
        pad: false,
    });
    assert_eq!(Vec::from_iter(entry.changed_headers()), ["x-claims", "x-token"]);
    if let TokenLocation::Header { forward, .. } = &mut entry.locations[0] {
        *forward = true;
    }
    assert_eq!(Vec::from_iter(entry.changed_headers()), ["x-claims"]);
}

#[test]
fn what_cannot_fetch_keys_is_refused() {
    let at = |field: &str| format!("JSONWebKeySet.Remote.{field}");
    let from = remote("https://idp.example.com/keys");
    assert_eq!(refused_keys(from.clone()), "");
    let static_name = RemoteKeys {
        discovery: KeyDiscovery::Static,
        ..from.clone()
    };
    assert_eq!(refused_keys(static_name), at("JWKSCluster.DiscoveryType"));
    let never = RemoteKeys {
        request_timeout_ms: Some(0),
        ..from.clone()
    };
    assert_eq!(refused_keys(never), at("RequestTimeoutMs"));
    let backwards = RemoteKeys {
        retries: Some(Retries {
            count: 1,
            backoff: Some((20, Some(10))),
        }),
        ..from.clone()
    };
    assert_eq!(
        refused_keys(backwards),
        at("RetryPolicy.RetryPolicyBackOff.MaxInterval")
    );
    let plain = RemoteKeys {
        trusted: Some(TrustedCa::File("/ca.pem".to_owned())),
        ..remote("http://idp/keys")
    };
    assert_eq!(refused_keys(plain), at("JWKSCluster.TLSCertificates"));
    let trusted = |trusted| {
        refused_keys(RemoteKeys {
            trusted: Some(trusted),
            ..from.clone()
        })
    };
    let field = |field: &str| at(&format!("JWKSCluster.TLSCertificates.TrustedCA.{field}"));
    assert_eq!(trusted(TrustedCa::File("ca.pem".to_owned())), field("Filename"));
    let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    assert_eq!(trusted(TrustedCa::Inline(pem("MIIB"))), "");
    assert_eq!(trusted(TrustedCa::InlineBytes(pem("MIIB") + &pem("MIIC"))), "");
    for bad in [
        String::new(),
        "MIIB".to_owned(),
        pem("MII"),
        pem("AAAA"),
        pem("MI!="),
        format!("-----BEGIN PRIVATE KEY-----\n{}", pem("MIIB")),
        "-----BEGIN CERTIFICATE-----\nMIIB".to_owned(),
    ] {
        assert_eq!(
            trusted(TrustedCa::Inline(bad.clone())),
            field("InlineString"),
            "{bad}"
        );
    }
}
