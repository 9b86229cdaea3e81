//! Intentions and the sameness groups that they name: a group is there as long as one names it. Without it a source would
//! be about nobody, and one that denies would let in whom the default lets in.

use crate::change::{ChangeSet, Topic};
use crate::snapshot::Snapshot;
use crate::transaction::Refused;
use peerway_model::config::ServiceIntentions;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, GroupName, Invalid};

/// Refuses a state in which an intention names a group that `changes` took away, or was written without its group.
pub(super) fn check(next: &Snapshot, changes: &ChangeSet) -> Result<(), Refused> {
    let mut groups_changed = false;
    let mut written = Vec::new();
    for topic in changes.iter() {
        match topic {
            Topic::Config(key) if key.kind == ConfigKind::SamenessGroup => {
                groups_changed |= next.config(key).is_none();
            }
            Topic::Config(key) if key.kind == ConfigKind::ServiceIntentions => written.push(key),
            _ => {}
        }
    }
    for entry in written.iter().filter_map(|key| next.config(key)) {
        if let ConfigEntry::ServiceIntentions(entry) = &*entry.row
            && let Some((at, group)) = missing(next, entry)
        {
            return Err(Refused::Invalid(Invalid::new(
                format!("Sources[{at}].SamenessGroup"),
                format!(
                    "is {group}, but partition {} has no sameness-group of this name, write that first",
                    entry.partition
                ),
            )));
        }
    }
    if !groups_changed {
        return Ok(());
    }
    for held in next.configs(ConfigKind::ServiceIntentions) {
        if let ConfigEntry::ServiceIntentions(entry) = &*held.row
            && let Some((_, group)) = missing(next, entry)
        {
            return Err(Refused::Invalid(Invalid::new(
                "",
                format!(
                    "sameness-group {group} is named by service-intentions {}, remove it there first",
                    entry.name
                ),
            )));
        }
    }
    Ok(())
}

/// The first source whose group is not there.
fn missing<'e>(next: &Snapshot, entry: &'e ServiceIntentions) -> Option<(usize, &'e GroupName)> {
    let sources = entry.sources.iter().enumerate();
    sources
        .filter_map(|(at, source)| Some((at, source.group.as_ref()?)))
        .find(|(_, group)| {
            next.config(&ConfigKey::of_group(&entry.partition, group))
                .is_none()
        })
}
