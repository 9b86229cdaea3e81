//! What intentions and the providers of tokens that they name must amount to together, in every partition: deletes are
//! no exception, so that no intention is left with a provider that is gone.

use crate::change::{ChangeSet, Topic};
use crate::snapshot::Snapshot;
use crate::transaction::Refused;
use peerway_model::config::{JwtProvider, ServiceIntentions};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Invalid, Partition};
use std::collections::{BTreeMap, BTreeSet};

/// Refuses a state in which something that `changes` touched does not go together.
pub(super) fn check(next: &Snapshot, changes: &ChangeSet) -> Result<(), Refused> {
    let changed: BTreeSet<&ConfigKey> = changes
        .iter()
        .filter_map(|topic| match topic {
            Topic::Config(key) => Some(key),
            _ => None,
        })
        .filter(|key| matches!(key.kind, ConfigKind::JwtProvider | ConfigKind::ServiceIntentions))
        .collect();
    let partitions: BTreeSet<&Partition> = changed.iter().map(|key| &key.partition).collect();
    for partition in partitions {
        Tokens::of(next, partition, &changed)
            .check()
            .map_err(Refused::Invalid)?;
    }
    Ok(())
}

/// The intentions of a partition that ask for tokens, or may stand beside such, and the providers.
struct Tokens<'s> {
    partition: &'s Partition,
    providers: BTreeMap<&'s str, &'s JwtProvider>,
    entries: Vec<&'s ServiceIntentions>,
    changed: &'s BTreeSet<&'s ConfigKey>,
}

impl<'s> Tokens<'s> {
    fn of(next: &'s Snapshot, partition: &'s Partition, changed: &'s BTreeSet<&'s ConfigKey>) -> Self {
        let providers: BTreeMap<&str, &JwtProvider> = next
            .configs(ConfigKind::JwtProvider)
            .filter_map(|held| match &*held.row {
                ConfigEntry::JwtProvider(entry) if entry.partition == *partition => {
                    Some((entry.name.as_str(), &**entry))
                }
                _ => None,
            })
            .collect();
        let entries = next
            .configs(ConfigKind::ServiceIntentions)
            .filter_map(|held| match &*held.row {
                ConfigEntry::ServiceIntentions(entry) if entry.partition == *partition => Some(entry),
                _ => None,
            });
        Tokens {
            partition,
            providers,
            entries: entries.collect(),
            changed,
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        if !self.entries.iter().any(|entry| !entry.providers().is_empty()) {
            return Ok(());
        }
        for entry in self.entries.iter().filter(|entry| self.is_touched(entry)) {
            self.has_providers(entry)?;
        }
        for entry in &self.entries {
            // All that may decide about a service that this entry is about.
            let group: Vec<&ServiceIntentions> = self
                .entries
                .iter()
                .filter(|other| {
                    other.namespace.contains(&entry.namespace) && other.name.contains(&entry.name)
                })
                .copied()
                .collect();
            if group.iter().any(|other| self.is_touched(other)) {
                self.go_together(&group)?;
            }
        }
        Ok(())
    }

    /// Whether an entry was written, or a provider that it names was.
    fn is_touched(&self, entry: &ServiceIntentions) -> bool {
        let is_changed = |kind: ConfigKind, namespace: &str, name: &str| {
            let key = ConfigKey::new(kind, self.partition, namespace, name);
            self.changed.contains(&key)
        };
        let (namespace, name) = (entry.namespace.to_string(), entry.name.to_string());
        is_changed(ConfigKind::ServiceIntentions, &namespace, &name)
            || entry.providers().into_iter().any(|name| {
                self.changed
                    .contains(&ConfigKey::of_provider(self.partition, name))
            })
    }

    fn has_providers(&self, entry: &ServiceIntentions) -> Result<(), Invalid> {
        for name in entry.providers() {
            if self.providers.contains_key(name.as_str()) {
                continue;
            }
            if self
                .changed
                .contains(&ConfigKey::of_provider(self.partition, name))
            {
                return Err(Invalid::new(
                    "",
                    format!(
                        "jwt-provider {name} is named by service-intentions {}, remove it there first",
                        entry.name
                    ),
                ));
            }
            return Err(Invalid::new(
                place_of(entry, name.as_str()),
                format!(
                    "is {name}, but partition {} has no jwt-provider of this name, write that first",
                    self.partition
                ),
            ));
        }
        Ok(())
    }

    fn go_together(&self, group: &[&ServiceIntentions]) -> Result<(), Invalid> {
        let named = group.iter().flat_map(|entry| entry.providers());
        let providers: BTreeMap<&str, &JwtProvider> = named
            .filter_map(|name| self.providers.get_key_value(name.as_str()))
            .map(|(name, provider)| (*name, *provider))
            .collect();
        let mut issuers: BTreeMap<&str, &JwtProvider> = BTreeMap::new();
        for provider in providers.values() {
            if let Some(other) = issuers.insert(&provider.issuer, provider) {
                return Err(Invalid::new(
                    "",
                    format!(
                        "jwt-providers {} and {} have the same Issuer, so proxies of {} could not tell their tokens apart: \
                         name one of them, and use VerifyClaims for what differs",
                        other.name,
                        provider.name,
                        about(group)
                    ),
                ));
            }
        }
        for entry in group {
            for (at, source) in entry.sources.iter().enumerate() {
                for (nth, permission) in source.verdict.permissions().iter().enumerate() {
                    for (place, header) in permission.http.headers.iter().enumerate() {
                        let name = header.name.as_str();
                        let Some(provider) = providers
                            .values()
                            .find(|provider| provider.changed_headers().contains(name))
                        else {
                            continue;
                        };
                        return Err(Invalid::new(
                            format!("Sources[{at}].Permissions[{nth}].HTTP.Header[{place}].Name"),
                            format!(
                                "is {name} in service-intentions {}, which jwt-provider {} takes away or writes before policy \
                                 decides: look at its claims with VerifyClaims instead, or let it Forward the token",
                                entry.name, provider.name
                            ),
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The most exact destination of a group.
fn about(group: &[&ServiceIntentions]) -> String {
    let exact = group.iter().find(|entry| !entry.name.is_any());
    exact
        .or(group.first())
        .map(|entry| entry.name.to_string())
        .unwrap_or_default()
}

/// Where an entry names a provider.
fn place_of(entry: &ServiceIntentions, name: &str) -> String {
    let within = |jwt: &Option<peerway_model::config::JwtRequirement>| {
        jwt.as_ref()?
            .providers()
            .position(|own| own.as_str() == name)
            .map(|at| format!("JWT.Providers[{at}].Name"))
    };
    if let Some(place) = within(&entry.jwt) {
        return place;
    }
    for (at, source) in entry.sources.iter().enumerate() {
        for (nth, permission) in source.verdict.permissions().iter().enumerate() {
            if let Some(place) = within(&permission.jwt) {
                return format!("Sources[{at}].Permissions[{nth}].{place}");
            }
        }
    }
    "JWT".to_owned()
}
