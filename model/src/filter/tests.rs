//! What filters answer, and what is not one.

use super::*;
use crate::ServiceKind;
use crate::instance::Weights;
use crate::key::{InstanceKey, NodeKey, Origin};
use crate::name::*;
use std::collections::BTreeMap;

fn node() -> Node {
    Node {
        key: NodeKey {
            origin: Origin::Local,
            partition: Partition::default(),
            name: NodeName::new("n1").unwrap(),
        },
        id: None,
        address: "10.0.0.1".to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::from([("rack".to_owned(), "r 7".to_owned())]),
        locality: None,
    }
}

fn instance() -> Instance {
    Instance {
        key: InstanceKey {
            node: node().key,
            id: InstanceId::new("web-1").unwrap(),
        },
        namespace: Namespace::default(),
        service: ServiceName::new("web").unwrap(),
        kind: ServiceKind::Typical,
        tags: vec!["canary".to_owned(), "v2".to_owned()],
        address: String::new(),
        port: 8080,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::from([("version".to_owned(), "2.1".to_owned())]),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    }
}

fn holds(text: &str) -> bool {
    Filter::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .holds(&instance(), &node())
}

#[test]
fn every_operator_answers() {
    for yes in [
        r#"Service.Meta.version == "2.1""#,
        r#"Service.Meta["version"] == 2.1"#,
        "Service.Meta.version != 2.2",
        "Service.Port == 8080",
        "canary in Service.Tags",
        r#""blue" not in Service.Tags"#,
        "Service.Tags contains v2",
        "Service.Tags not contains blue",
        "Service.Meta contains version",
        "version in Service.Meta",
        "Service.Meta is not empty",
        "Service.Meta.colour is empty",
        "Service.Address is empty",
        r#"Service.Meta.version matches `2\..`"#,
        r#"Service.Meta.version not matches "3.*""#,
        r#"Node.Meta.rack == "r 7""#,
        "Service.Service contains eb",
        "Node.Node == n1 and Node.Datacenter == dc1 and Node.Address != x",
        "Service.ID == web-1",
        "Service.Namespace == default and Node.Partition == default and Node.ID is empty",
    ] {
        assert!(holds(yes), "{yes}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tighter_than_both() {
    assert!(holds(
        "Service.Port == 8080 or Service.Port == 1 and Service.Port == 2"
    ));
    assert!(!holds(
        "(Service.Port == 8080 or Service.Port == 1) and Service.Port == 2"
    ));
    assert!(holds("not Service.Port == 1 and Service.Port == 8080"));
    assert!(!holds("not (Service.Port == 1 or Service.Port == 8080)"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (bad, why) in [
        ("", "ends too early"),
        (
            "Service.Colour == x",
            "at byte 0: \"Service.Colour\" is not a field, known are Service.ID",
        ),
        ("Service.Port[\"x\"] == 1", "is not a field"),
        ("Service.Port ~ 1", "at byte 13: '~' has no meaning"),
        ("Service.Port == ", "ends too early"),
        ("Service.Port is full", "expected 'is empty'"),
        ("Service.Tags == v2", "use 'contains'"),
        (
            "Service.Meta.v matches `(`",
            "the expression is not a regular expression",
        ),
        ("(Service.Port == 1", "ends too early"),
        ("Service.Port == 1)", "expected 'and', 'or' or the end"),
        ("Service.ID == \"x", "the quotes are not closed"),
        ("\"x\" == Service.ID", "may only come first in 'value in field'"),
        (
            &format!("{}Service.Port == 1", "not ".repeat(40)),
            "nested deeper than 32",
        ),
        (&"(".repeat(3000), "at most 2048"),
    ] {
        let error = Filter::parse(bad).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ a-z.=!()\"`\\[\\]\\\\é]{0,60}") {
        if let Ok(filter) = Filter::parse(&text) {
            filter.holds(&instance(), &node());
        }
    }
}
