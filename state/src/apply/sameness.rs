//! The entries that name sameness groups of their partition: a group is there as long as one names it. Without it a source
//! of an intention would be about nobody, and one that denies would let in whom the default lets in; an export would end
//! without anybody having said so.

use crate::change::{ChangeSet, Topic};
use crate::snapshot::Snapshot;
use crate::transaction::Refused;
use peerway_model::config::Consumer;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, GroupName, Invalid};

/// The kinds that name groups which have to be there.
const NAMING: [ConfigKind; 2] = [ConfigKind::ExportedServices, ConfigKind::ServiceIntentions];

/// Refuses a state in which an entry names a group that `changes` took away, or was written without its group.
pub(super) fn check(next: &Snapshot, changes: &ChangeSet) -> Result<(), Refused> {
    let mut groups_changed = false;
    let mut written = Vec::new();
    for topic in changes.iter() {
        match topic {
            Topic::Config(key) if key.kind == ConfigKind::SamenessGroup => {
                groups_changed |= next.config(key).is_none();
            }
            Topic::Config(key) if NAMING.contains(&key.kind) => written.push(key),
            _ => {}
        }
    }
    for entry in written.iter().filter_map(|key| next.config(key)) {
        if let Some((at, group)) = missing(next, entry) {
            let problem = format!(
                "is {group}, but partition {} has no sameness-group of this name, write that first",
                entry.key().partition
            );
            return Err(Refused::Invalid(Invalid::new(at, problem)));
        }
    }
    if !groups_changed {
        return Ok(());
    }
    for held in NAMING.into_iter().flat_map(|kind| next.configs(kind)) {
        if let Some((_, group)) = missing(next, held) {
            let ConfigKey { kind, name, .. } = held.key();
            return Err(Refused::Invalid(Invalid::new(
                "",
                format!("sameness-group {group} is named by {kind} {name}, remove it there first"),
            )));
        }
    }
    Ok(())
}

/// The path of the first field whose group is not there.
fn missing<'e>(next: &Snapshot, entry: &'e ConfigEntry) -> Option<(String, &'e GroupName)> {
    let partition = entry.key().partition;
    let is_missing =
        |(_, group): &(String, &GroupName)| next.config(&ConfigKey::of_group(&partition, group)).is_none();
    match entry {
        ConfigEntry::ServiceIntentions(entry) => {
            let sources = entry.sources.iter().enumerate();
            let mut named = sources.filter_map(|(at, source)| {
                Some((format!("Sources[{at}].SamenessGroup"), source.group.as_ref()?))
            });
            named.find(is_missing)
        }
        ConfigEntry::ExportedServices(entry) => {
            let services = entry.services.iter().enumerate();
            let mut named = services.flat_map(|(at, service)| {
                let consumers = service.consumers.iter().enumerate();
                consumers.filter_map(move |(nth, consumer)| match consumer {
                    Consumer::Group(group) => {
                        let at = format!("Services[{at}].Consumers[{nth}].SamenessGroup");
                        Some((at, group))
                    }
                    Consumer::Peer(_) | Consumer::Partition(_) => None,
                })
            });
            named.find(is_missing)
        }
        _ => None,
    }
}
