//! Providers of tokens, and what intentions ask of tokens.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

fn encoded(set: &Value) -> String {
    STANDARD.encode(set.to_string())
}

fn key() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn keys() -> Value {
    json!({"keys": [key(), {"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "sig", "kid": "one"}]})
}

fn provider(keys: Value) -> Value {
    json!({"Kind": "jwt-provider", "Name": "idp", "Issuer": "https://idp.example.com", "JSONWebKeySet": keys})
}

fn local(set: &Value) -> Value {
    provider(json!({"Local": {"JWKS": encoded(set)}}))
}

fn remote(fields: Value) -> Value {
    let mut remote = json!({"URI": "https://idp.example.com/keys"});
    for (name, value) in fields.as_object().unwrap() {
        remote[name] = value.clone();
    }
    provider(json!({"Remote": remote}))
}

fn with(field: &str, value: Value) -> Value {
    let mut entry = local(&keys());
    entry[field] = value;
    entry
}

/// Every field, in two entries.
fn full() -> [Value; 2] {
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let mut here = local(&keys());
    here["Audiences"] = json!(["a", "b"]);
    here["Locations"] = json!([
        {"Header": {"Name": "authorization", "ValuePrefix": "Bearer ", "Forward": true}},
        {"QueryParam": {"Name": "token"}},
        {"Cookie": {"Name": "session"}}]);
    here["Forwarding"] = json!({"HeaderName": "x-claims", "PadForwardPayloadHeader": true});
    here["ClockSkewSeconds"] = json!(5);
    here["CacheConfig"] = json!({"Size": 7});
    here["Meta"] = json!({"a": "b"});
    let mut there = remote(json!({
        "RequestTimeoutMs": 700, "CacheDuration": "1m30s", "FetchAsynchronously": true,
        "RetryPolicy": {"NumRetries": 2, "RetryPolicyBackOff": {"BaseInterval": "1s", "MaxInterval": "4s"}},
        "JWKSCluster": {"DiscoveryType": "LOGICAL_DNS", "ConnectTimeout": "2s",
            "TLSCertificates": {"TrustedCA": {"InlineBytes": STANDARD.encode(pem)}}}}));
    there["ClockSkewSeconds"] = json!(30);
    [here, there]
}

#[test]
fn a_provider_is_written_as_it_was_read() {
    for value in full() {
        let entry = config(value.clone()).unwrap();
        let written = config_entry_to_json(&entry, None);
        assert_eq!(written, value);
        assert_eq!(config(written), Ok(entry));
    }
}

/// Clients in Go send every field.
#[test]
fn fields_that_say_nothing_are_taken() {
    let mut value = remote(json!({
        "RequestTimeoutMs": 0, "CacheDuration": "0s", "FetchAsynchronously": false, "UseSNI": true, "RetryPolicy": null,
        "JWKSCluster": {"DiscoveryType": "", "ConnectTimeout": "0s", "TLSCertificates": {
            "CaCertificateProviderInstance": null, "TrustedCA": null}}}));
    value["JSONWebKeySet"]["Local"] = Value::Null;
    value["Locations"] = Value::Null;
    value["Forwarding"] = Value::Null;
    value["CacheConfig"] = Value::Null;
    value["ClockSkewSeconds"] = json!(0);
    assert_eq!(config(value), config(remote(json!({}))));
}

#[test]
fn what_cannot_work_is_refused_by_field_and_cure() {
    let trusted = |ca: Value| remote(json!({"JWKSCluster": {"TLSCertificates": ca}}));
    let one = |key: Value| local(&json!({"keys": [key]}));
    let mut without = key();
    without.as_object_mut().unwrap().remove("x");
    let mut private = key();
    private["d"] = json!("AQAB");
    let mut bent = key();
    bent["crv"] = json!("X25519");
    let jwks = "JSONWebKeySet.Local.JWKS: ";
    let cluster = "JSONWebKeySet.Remote.JWKSCluster.";
    for (value, expected) in [
        (
            json!({"Kind": "jwt-provider", "Name": "idp"}),
            "Issuer: is required".to_owned(),
        ),
        (provider(Value::Null), "JSONWebKeySet: is required".to_owned()),
        (
            provider(json!({})),
            "JSONWebKeySet: needs Local or Remote".to_owned(),
        ),
        (
            provider(json!({"Local": {"Filename": "/keys"}})),
            "JSONWebKeySet.Local.Filename: would be read on the machine of every proxy".to_owned(),
        ),
        (
            provider(json!({"Local": {"JWKS": keys().to_string()}})),
            format!("{jwks}is not base64"),
        ),
        (
            provider(json!({"Local": {"JWKS": STANDARD.encode("keys")}})),
            format!("{jwks}is not base64 of JSON"),
        ),
        (local(&json!({"key": []})), format!("{jwks}has no list \"keys\"")),
        (local(&json!({"keys": []})), format!("{jwks}has 0 keys")),
        (one(json!(1)), format!("{jwks}has key 0 that is not an object")),
        (
            one(json!({"kty": "oct", "k": "AQAB"})),
            format!("{jwks}has key 0 that is a secret"),
        ),
        (
            one(json!({"kty": "DH"})),
            format!("{jwks}has key 0 that is of kind \"DH\""),
        ),
        (one(without), format!("{jwks}has key 0 that has no \"x\"")),
        (one(private), format!("{jwks}has key 0 that is a private one")),
        (one(bent), format!("{jwks}has key 0 that is of curve \"X25519\"")),
        (
            one(json!({"kty": "RSA", "n": "?", "e": "AQAB"})),
            format!("{jwks}has key 0 that has a \"n\""),
        ),
        (
            remote(json!({"URI": "idp/keys"})),
            "JSONWebKeySet.Remote.URI: is \"idp/keys\"".to_owned(),
        ),
        (
            remote(json!({"JWKSCluster": {"DiscoveryType": "EDS"}})),
            format!("{cluster}DiscoveryType: is EDS, but nobody tells"),
        ),
        (
            remote(json!({"JWKSCluster": {"DiscoveryType": "DNS"}})),
            format!("{cluster}DiscoveryType: is \"DNS\""),
        ),
        (
            trusted(json!({"CaCertificateProviderInstance": {"InstanceName": "a"}})),
            format!("{cluster}TLSCertificates.CaCertificateProviderInstance: names a plugin"),
        ),
        (
            trusted(json!({"TrustedCA": {"EnvironmentVariable": "CA"}})),
            format!("{cluster}TLSCertificates.TrustedCA.EnvironmentVariable: would be read"),
        ),
        (
            trusted(json!({"TrustedCA": {"InlineBytes": "?"}})),
            format!("{cluster}TLSCertificates.TrustedCA.InlineBytes: is not base64"),
        ),
        (
            trusted(json!({"TrustedCA": {"InlineString": "a", "Filename": "/a"}})),
            format!("{cluster}TLSCertificates.TrustedCA: has more than one"),
        ),
        (
            remote(json!({"RetryPolicy": {"RetryPolicyBackOff": {"MaxInterval": "1s"}}})),
            "JSONWebKeySet.Remote.RetryPolicy.RetryPolicyBackOff.BaseInterval: is required".to_owned(),
        ),
        (
            with("Locations", json!([{}])),
            "Locations[0]: needs one of".to_owned(),
        ),
        (
            with(
                "Locations",
                json!([{"Cookie": {"Name": "a"}, "QueryParam": {"Name": "a"}}]),
            ),
            "Locations[0]: has more than one of".to_owned(),
        ),
        (
            with("Namespace", json!("team")),
            "Namespace: must not be given".to_owned(),
        ),
        (
            with("Forwarding", json!({})),
            "Forwarding.HeaderName: is required".to_owned(),
        ),
    ] {
        let error = config(value.clone()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{value}\n{error}\n{expected}");
    }
}

#[test]
fn what_is_asked_of_tokens_is_written_as_it_was_read() {
    let jwt = json!({"Providers": [
        {"Name": "idp", "VerifyClaims": [{"Path": ["realm", "role"], "Value": "admin"}]},
        {"Name": "other"}]});
    let value = json!({"Kind": "service-intentions", "Name": "api", "JWT": jwt, "Sources": [
        {"Name": "web", "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}, "JWT": jwt}]}]});
    let entry = config(value).unwrap();
    let written = config_entry_to_json(&entry, None);
    assert_eq!(written["JWT"], jwt);
    assert_eq!(written["Sources"][0]["Permissions"][0]["JWT"], jwt);
    assert_eq!(config(written), Ok(entry));
    let refused = |jwt: Value| {
        let value = json!({"Kind": "service-intentions", "Name": "api", "JWT": jwt,
            "Sources": [{"Name": "web", "Action": "allow"}]});
        config(value).unwrap_err().to_string()
    };
    for (jwt, expected) in [
        (json!({}), "JWT.Providers: needs at least one provider"),
        (json!({"Providers": [{}]}), "JWT.Providers[0].Name: is required"),
        (json!({"Providers": [{"Name": "a b"}]}), "JWT.Providers[0].Name: "),
        (
            json!({"Providers": [{"Name": "a", "VerifyClaims": [{"Value": "b"}]}]}),
            "JWT.Providers[0].VerifyClaims[0].Path: is required",
        ),
        (
            json!({"Providers": [{"Name": "a", "VerifyClaims": [{"Path": ["b"]}]}]}),
            "JWT.Providers[0].VerifyClaims[0].Value: is required",
        ),
    ] {
        let error = refused(jwt);
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}
