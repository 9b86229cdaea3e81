//! A document in HCL or JSON.

use crate::Target;
use peerway_api_types::hcl;

/// One document.
pub const TARGET: Target = Target {
    name: "hcl",
    run,
    seeds,
};

/// Documents that are checked in, and some of the language's corners.
const DOCUMENTS: &[&str] = &[
    include_str!("../../../../demo/gateway.hcl"),
    include_str!("../../../../demo/east/web.hcl"),
    include_str!("../../../../demo/east/other.hcl"),
    include_str!("../../../../demo/west/api.hcl"),
    include_str!("../../../../demo/west/exported-services.hcl"),
    include_str!("../../../../demo/west/service-intentions.hcl"),
    include_str!("../../seeds/documents/corners.hcl"),
    include_str!("../../seeds/documents/corners.json"),
];

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(value) = hcl::parse(text) else { return };
    assert!(value.is_object(), "a document is an object");
    // What a document says can be said in JSON, and means the same there.
    let json = serde_json::to_string(&value).unwrap();
    match hcl::parse(&json) {
        Ok(again) => assert_eq!(again, value),
        // Escapes make a text longer; nothing else may stand in the way.
        Err(error) => assert!(json.len() > hcl::MAX_BYTES, "its own JSON: {error}"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    DOCUMENTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}
