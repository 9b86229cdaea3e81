//! From the services that a terminating gateway stands for to JSON.

use peerway_model::config::LinkedService;
use serde_json::{Map, Value, json};

pub(super) fn linked_service(link: &LinkedService) -> Value {
    let mut out = Map::new();
    out.insert("Name".to_owned(), json!(link.name.to_string()));
    if !link.namespace.is_default() {
        out.insert("Namespace".to_owned(), json!(link.namespace.to_string()));
    }
    let outward = &link.outward;
    for (field, given) in [
        ("CAFile", &outward.ca_file),
        ("CertFile", &outward.cert_file),
        ("KeyFile", &outward.key_file),
        ("SNI", &outward.sni),
    ] {
        if let Some(text) = given {
            out.insert(field.to_owned(), json!(text));
        }
    }
    if outward.keeps_host {
        out.insert("DisableAutoHostRewrite".to_owned(), json!(true));
    }
    Value::Object(out)
}
