//! `peering.imports`: what is let in from peers, from all of them and from single ones.

use super::SettingsError;
use super::read::Reading;
use peerway_model::{Partition, PeerName, PeeringKey};
use peerway_peering_link::{ImportLimits, ImportPolicy, MAX_SERVICES, NameFilter, NamePattern};
use serde_json::{Map, Value};

/// Least updates in a second that a peer may be held to: below, its heartbeats would be late.
const MIN_UPDATES_PER_SECOND: i64 = 10;
/// Most instances or updates that make sense.
const MANY: i64 = 100_000_000;
/// Most bytes that make sense: a tebibyte.
const MOST_BYTES: i64 = 1 << 40;

const SECTION: &str = "peering.imports";
const PEERS: &str = "peering.imports.peer";

/// What counts for whom.
pub(super) fn policy(reading: &Reading) -> Result<ImportPolicy, SettingsError> {
    let mut all = ImportLimits::default();
    for name in NUMBERS {
        let key = format!("{SECTION}.{name}");
        if let Some(value) = reading.value(&key) {
            set_number(&mut all, name, value).map_err(|problem| reading.problem(&key, problem))?;
        }
    }
    for name in LISTS {
        let key = format!("{SECTION}.{name}");
        if let Some(value) = reading.value(&key) {
            set_list(&mut all.filter, name, value).map_err(|problem| reading.problem(&key, problem))?;
        }
    }
    let mut policy = ImportPolicy {
        all,
        ..ImportPolicy::default()
    };
    for (index, block) in reading.list(PEERS).iter().enumerate() {
        let (peering, limits) = peer(block, &policy.all)
            .map_err(|problem| reading.problem(PEERS, format!("block {index}: {problem}")))?;
        if policy.peers.insert(peering, limits).is_some() {
            return Err(reading.problem(PEERS, format!("block {index}: the peer has a block already")));
        }
    }
    Ok(policy)
}

const NUMBERS: [&str; 4] = [
    "max_services",
    "max_instances",
    "max_bytes",
    "max_updates_per_second",
];
const LISTS: [&str; 2] = ["include", "exclude"];

/// A block about one peer; what it leaves out is as for `all`.
fn peer(block: &Value, all: &ImportLimits) -> Result<(PeeringKey, ImportLimits), String> {
    let empty = Map::new();
    let fields = block.as_object().unwrap_or(&empty);
    let text = |name: &str| match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(format!("{name} must be a string, not {other}")),
    };
    let name = text("name")?.ok_or("name is missing: it says which peer the block is about")?;
    let partition = match text("partition")? {
        Some(name) => Partition::new(name).map_err(|invalid| invalid.within("partition").to_string())?,
        None => Partition::default(),
    };
    let key = PeeringKey {
        partition,
        name: PeerName::new(name).map_err(|invalid| invalid.within("name").to_string())?,
    };
    let mut limits = all.clone();
    for (name, value) in fields {
        match name.as_str() {
            "name" | "partition" => {}
            name if NUMBERS.contains(&name) => {
                set_number(&mut limits, name, value).map_err(|problem| format!("{name}: {problem}"))?;
            }
            name if LISTS.contains(&name) => {
                set_list(&mut limits.filter, name, value).map_err(|problem| format!("{name}: {problem}"))?;
            }
            other => {
                return Err(format!(
                    "unknown field {other:?}: known are name, partition, {} and {}",
                    NUMBERS.join(", "),
                    LISTS.join(", ")
                ));
            }
        }
    }
    Ok((key, limits))
}

fn set_number(limits: &mut ImportLimits, name: &str, value: &Value) -> Result<(), String> {
    let (least, most) = match name {
        "max_services" => (0, i64::try_from(MAX_SERVICES).unwrap_or(i64::MAX)),
        "max_bytes" => (0, MOST_BYTES),
        "max_updates_per_second" => (MIN_UPDATES_PER_SECOND, MANY),
        _ => (0, MANY),
    };
    let number = value
        .as_i64()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}, not {value}"))?;
    let count = usize::try_from(number).unwrap_or(usize::MAX);
    match name {
        "max_services" => limits.max_services = count,
        "max_instances" => limits.max_instances = count,
        "max_bytes" => limits.max_bytes = count,
        _ => limits.updates_per_second = u32::try_from(number).unwrap_or(u32::MAX),
    }
    Ok(())
}

fn set_list(filter: &mut NameFilter, name: &str, value: &Value) -> Result<(), String> {
    let items = value
        .as_array()
        .ok_or_else(|| format!("must be a list of names, not {value}"))?;
    let patterns = items
        .iter()
        .map(|item| match item.as_str() {
            Some(text) => NamePattern::parse(text),
            None => Err(format!("must be a list of names, {item} is none")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    match name {
        "include" => filter.include = patterns,
        _ => filter.exclude = patterns,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, Settings};
    use super::*;

    fn load(text: &str) -> Result<Settings, SettingsError> {
        let flags = Overrides {
            dev: true,
            ..Overrides::default()
        };
        Settings::load(&[("a.hcl".to_owned(), text.to_owned())], flags)
    }

    fn key(name: &str) -> PeeringKey {
        PeeringKey {
            partition: Partition::default(),
            name: PeerName::new(name).unwrap(),
        }
    }

    #[test]
    fn a_peer_has_the_limits_of_all_but_for_what_its_block_says() {
        let settings = load(
            r#"
            peering {
              imports {
                max_services           = 50
                max_updates_per_second = 200
                exclude                = ["secret-*"]
                peer {
                  name         = "west"
                  max_services = 2
                  include      = ["web", "api-*"]
                }
                peer {
                  name      = "north"
                  partition = "billing"
                  exclude   = []
                }
              }
            }
            "#,
        )
        .unwrap();
        let (all, west) = (&settings.imports.all, settings.imports.of(&key("west")));
        assert_eq!((all.max_services, all.updates_per_second), (50, 200));
        assert_eq!((west.max_services, west.updates_per_second), (2, 200));
        assert!(west.filter.allows("api-v1") && !west.filter.allows("other"));
        let other = settings.imports.of(&key("north"));
        assert!(
            other.filter.allows("other") && !other.filter.allows("secret-db"),
            "it is in another partition"
        );
        assert_eq!(load("").unwrap().imports, ImportPolicy::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (text, says) in [
            (
                "max_services = 10001",
                "peering.imports.max_services: must be a whole number from 0 to 10000, not 10001",
            ),
            ("max_updates_per_second = 1", "from 10 to"),
            (
                "include = \"web\"",
                "peering.imports.include: must be a list of names",
            ),
            ("exclude = [\"a*b\"]", "is not a pattern"),
            ("max_service = 1", "unknown setting"),
            (
                "peer { max_services = 1 }",
                "peering.imports.peer: block 0: name is missing",
            ),
            ("peer { name = \"UP\" }", "block 0: name"),
            ("peer {\nname = \"a\"\nmax = 1\n}", "unknown field \"max\""),
            (
                "peer {\nname = \"a\"\nmax_bytes = \"1\"\n}",
                "block 0: max_bytes: must be a whole number",
            ),
            (
                "peer { name = \"a\" }\npeer { name = \"a\" }",
                "block 1: the peer has a block already",
            ),
        ] {
            let error = load(&format!("peering {{\n imports {{\n{text}\n}}\n}}")).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
