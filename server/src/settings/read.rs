//! Reading settings out of documents: every leaf by its dotted path, with the file that it came from.

use super::{Overrides, SETTINGS, SettingsError};
use peerway_model::{Invalid, Secret};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Leaves by path. Lists of several files are joined, all else is replaced by the later file.
#[derive(Default)]
pub(super) struct Reading {
    leaves: BTreeMap<String, (String, Value)>,
}

/// Settings that are lists of free-form objects.
const LISTS: [&str; 4] = [
    "config_entries.bootstrap",
    "peering.imports.peer",
    "service",
    "services",
];

impl Reading {
    pub(super) fn add(&mut self, file: &str, document: &Value) -> Result<(), SettingsError> {
        self.walk(&format!("{file}: "), "", document)
    }

    fn walk(&mut self, place: &str, path: &str, value: &Value) -> Result<(), SettingsError> {
        let problem = |problem: String| SettingsError::Setting {
            place: place.to_owned(),
            path: path.to_owned(),
            problem,
        };
        if LISTS.contains(&path) {
            let mut items = match value {
                Value::Array(items) => items.clone(),
                Value::Object(_) => vec![value.clone()],
                _ => return Err(problem("must be a block or a list of them".to_owned())),
            };
            let (_, held) = self
                .leaves
                .entry(path.to_owned())
                .or_insert((place.to_owned(), Value::Array(Vec::new())));
            if let Value::Array(held) = held {
                held.append(&mut items);
            }
            return Ok(());
        }
        if SETTINGS.iter().any(|setting| setting.key == path) {
            self.leaves
                .insert(path.to_owned(), (place.to_owned(), value.clone()));
            return Ok(());
        }
        let is_section = path.is_empty() || SETTINGS.iter().any(|setting| in_section(setting.key, path));
        match value {
            Value::Object(fields) if is_section => {
                for (key, value) in fields {
                    let inner = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    self.walk(place, &inner, value)?;
                }
                Ok(())
            }
            _ if is_section => Err(problem("must be a block".to_owned())),
            _ => Err(problem(unknown(path))),
        }
    }

    pub(super) fn apply(&mut self, overrides: &Overrides) {
        let texts = [
            ("datacenter", &overrides.datacenter),
            ("data_dir", &overrides.data_dir),
            ("client_addr", &overrides.client_addr),
            ("node_name", &overrides.node_name),
            ("log_level", &overrides.log_level),
        ];
        for (key, value) in texts {
            if let Some(text) = value {
                self.leaves
                    .insert(key.to_owned(), (String::new(), Value::from(text.as_str())));
            }
        }
        let ports = [
            ("ports.http", overrides.http_port),
            ("ports.grpc", overrides.grpc_port),
            ("ports.grpc_tls", overrides.grpc_tls_port),
            ("ports.dns", overrides.dns_port),
        ];
        for (key, value) in ports {
            if let Some(port) = value {
                self.leaves
                    .insert(key.to_owned(), (String::new(), Value::from(port)));
            }
        }
        if overrides.log_json {
            self.leaves
                .insert("log_json".to_owned(), (String::new(), Value::from(true)));
        }
    }

    /// A problem with the setting `key`, placed in the file that set it.
    pub(super) fn problem(&self, key: &str, problem: impl Into<String>) -> SettingsError {
        let place = self
            .leaves
            .get(key)
            .map(|(place, _)| place.clone())
            .unwrap_or_default();
        SettingsError::Setting {
            place,
            path: key.to_owned(),
            problem: problem.into(),
        }
    }

    /// The value of a setting, as it was written.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.leaves.get(key).map(|(_, value)| value)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, SettingsError> {
        match self.leaves.get(key) {
            None => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text.clone())),
            Some((_, other)) => Err(self.problem(key, format!("must be a string, not {other}"))),
        }
    }

    /// A text that no message repeats.
    pub(super) fn secret(&self, key: &str) -> Result<Option<Secret>, SettingsError> {
        match self.leaves.get(key) {
            None => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(Secret::new(text.as_str()))),
            Some(_) => Err(self.problem(key, "must be a string")),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, SettingsError> {
        match self.leaves.get(key) {
            None => Ok(None),
            Some((_, Value::Bool(flag))) => Ok(Some(*flag)),
            Some((_, other)) => Err(self.problem(key, format!("must be true or false, not {other}"))),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, SettingsError> {
        match self.leaves.get(key) {
            None => Ok(None),
            Some((_, Value::Number(number))) if number.is_i64() => Ok(number.as_i64()),
            Some((_, other)) => Err(self.problem(key, format!("must be a whole number, not {other}"))),
        }
    }

    /// A port; `None` when it is switched off with -1. 0 lets the system choose.
    pub(super) fn port(&self, key: &str, default: u16) -> Result<Option<u16>, SettingsError> {
        match self.integer(key)? {
            None => Ok(Some(default)),
            Some(-1) => Ok(None),
            Some(port) => match u16::try_from(port) {
                Ok(port) => Ok(Some(port)),
                Err(_) => Err(self.problem(
                    key,
                    format!("{port} is not a port: use 1 to 65535, or -1 for off"),
                )),
            },
        }
    }

    pub(super) fn ip(&self, key: &str) -> Result<Option<IpAddr>, SettingsError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(ip) => Ok(Some(ip)),
            Err(_) => Err(self.problem(key, format!("{text:?} is not an IP address"))),
        }
    }

    pub(super) fn parsed<T>(
        &self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<T, SettingsError> {
        let text = self.text(key)?.unwrap_or_else(|| default.to_owned());
        parse(&text).map_err(|error| self.problem(key, error.problem))
    }

    pub(super) fn list(&self, key: &str) -> Vec<Value> {
        match self.leaves.get(key) {
            Some((_, Value::Array(items))) => items.clone(),
            _ => Vec::new(),
        }
    }
}

fn in_section(key: &str, section: &str) -> bool {
    key.strip_prefix(section)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn unknown(path: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or(path);
    let near = SETTINGS.iter().find(|setting| {
        let known = setting.key.rsplit('.').next().unwrap_or(setting.key);
        known.eq_ignore_ascii_case(last)
            || known.replace('_', "") == last.replace(['_', '-'], "").to_ascii_lowercase()
    });
    match near {
        Some(setting) => format!("unknown setting, did you mean {}", setting.key),
        None => "unknown setting; docs/configuration.md lists all".to_owned(),
    }
}

/// A duration as Go writes it: `72h`, `1h30m`, `90s`, `500ms`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u32 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?;
        let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = match after.get(..unit_len)? {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(60 * 60),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(count)?)?;
        rest = after.get(unit_len..)?;
    }
    (!text.is_empty()).then_some(total)
}
