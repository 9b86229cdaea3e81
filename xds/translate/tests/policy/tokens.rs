//! Providers of tokens, what is asked of tokens, and tokens themselves, good and bad.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use peerway_model::config::{
    Claims, HeaderName, JwtProvider, JwtRequirement, KeySet, KeySource, Meta, TokenLocation, WantedClaim,
    WantedToken,
};
use peerway_model::instance::Opaque;
use peerway_model::name::{Partition, ProviderName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The providers, which are always there.
pub(crate) const PROVIDERS: [&str; 2] = ["idp", "other"];
const ROLES: [&str; 3] = ["admin", "user", "a b"];
/// A moment that no test lives to see, in seconds since 1970.
const LATE: u64 = 4_000_000_000;
/// One that all tests have missed.
const EARLY: u64 = 1_000_000_000;

static KEYS: LazyLock<BTreeMap<&str, KeyPair>> = LazyLock::new(|| {
    let key = |name| (name, KeyPair::generate_for(&PKCS_ED25519).unwrap());
    PROVIDERS.map(key).into()
});

fn issuer(provider: &str) -> String {
    format!("https://{provider}.example.com")
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `idp` takes tokens where they usually are, `other` in a header of its own.
pub(crate) fn provider(name: &str) -> JwtProvider {
    let x = encoded(KEYS[name].der_bytes());
    let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"{x}"}}]}}"#);
    let own = TokenLocation::Header {
        name: HeaderName::new("x-token").unwrap(),
        prefix: String::new(),
        forward: false,
    };
    JwtProvider {
        partition: Partition::default(),
        name: ProviderName::new(name).unwrap(),
        issuer: issuer(name),
        audiences: Vec::new(),
        keys: KeySource::Local(KeySet::new(&keys).unwrap()),
        locations: (name == "other").then_some(own).into_iter().collect(),
        forwarding: None,
        clock_skew_seconds: 30,
        cache_size: 0,
        meta: Meta::new(),
    }
}

fn signed(key: &str, issuer: &str, expires: u64, claims: &Claims) -> String {
    let mut payload = serde_json::json!({ "iss": issuer, "exp": expires });
    for (name, value) in claims {
        payload[name] = peerway_api_types::opaque::opaque_to_json(value);
    }
    let text = format!(
        "{}.{}",
        encoded(r#"{"alg":"EdDSA","typ":"JWT"}"#),
        encoded(payload.to_string())
    );
    let signature = KEYS[key].sign(text.as_bytes()).unwrap();
    format!("{text}.{}", encoded(signature))
}

/// Headers that carry these tokens. In the place of one that is not there comes a bad one that says everything: signed
/// by somebody else, of another issuer, or too old.
pub(crate) fn headers(tokens: &BTreeMap<ProviderName, Claims>) -> Vec<(&'static str, String)> {
    let everything: Claims = roles("admin");
    let carried = |name: &'static str| {
        let own = tokens.iter().find(|(own, _)| own.as_str() == name);
        let other = PROVIDERS.into_iter().find(|other| *other != name).unwrap();
        let token = match (own, tokens.len()) {
            (Some((_, claims)), _) => signed(name, &issuer(name), LATE, claims),
            (None, 0) => signed(other, &issuer(name), LATE, &everything),
            (None, _) if name == "idp" => signed(name, &issuer(name), EARLY, &everything),
            (None, _) => signed(name, "https://nobody.example.com", LATE, &everything),
        };
        match name {
            "idp" => ("authorization", format!("Bearer {token}")),
            _ => ("x-token", token),
        }
    };
    PROVIDERS.map(carried).into()
}

/// Claims in which two places say the same role.
fn roles(role: &str) -> Claims {
    let role = || Opaque::Text(role.to_owned());
    let inner = BTreeMap::from([("role".to_owned(), role())]);
    BTreeMap::from([
        ("role".to_owned(), role()),
        ("realm".to_owned(), Opaque::Map(inner)),
    ])
}

/// What a rule or a permission asks for, this often.
pub(crate) fn wanted(often: f64) -> impl Strategy<Value = Option<JwtRequirement>> {
    let path = select(vec![vec!["role"], vec!["realm", "role"], vec!["role", "role"]]);
    let claim = (path, select(&ROLES[..])).prop_map(|(path, value)| WantedClaim {
        path: path.into_iter().map(str::to_owned).collect(),
        value: value.to_owned(),
    });
    let token =
        (select(&PROVIDERS[..]), option::weighted(0.6, claim)).prop_map(|(name, claim)| WantedToken {
            provider: ProviderName::new(name).unwrap(),
            claims: claim.into_iter().collect(),
        });
    let tokens = vec(token, 1..3).prop_map(|mut tokens| {
        tokens.sort();
        tokens.dedup();
        JwtRequirement { tokens }
    });
    option::weighted(often, tokens)
}

/// The good tokens of a request.
pub(crate) fn carried() -> impl Strategy<Value = BTreeMap<ProviderName, Claims>> {
    let role = prop_oneof![
        6 => select(&ROLES[..]).prop_map(roles),
        1 => Just(Claims::from([("role".to_owned(), Opaque::List(vec![Opaque::Text("admin".to_owned())]))])),
        1 => Just(Claims::from([("role".to_owned(), Opaque::Bool(true))])),
    ];
    let token =
        (select(&PROVIDERS[..]), role).prop_map(|(name, claims)| (ProviderName::new(name).unwrap(), claims));
    vec(token, 0..3).prop_map(|tokens| tokens.into_iter().collect())
}
