//! Free-form configuration in JSON: as it reads, except that a text and a number carry a letter in front, because the
//! text of a number is kept as it was written.
//!
//! One level of a value is one level of JSON, so that the deepest value that `state` accepts stays within what the
//! JSON parser reads.

use peerway_model::instance::Opaque;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

const TEXT: char = 't';
const NUMBER: char = 'n';

pub(super) struct OpaqueRecord(Opaque);

pub(super) type ConfigMap = BTreeMap<String, OpaqueRecord>;

pub(super) fn keep(config: &BTreeMap<String, Opaque>) -> ConfigMap {
    let pairs = config.iter();
    pairs
        .map(|(key, value)| (key.clone(), OpaqueRecord(value.clone())))
        .collect()
}

pub(super) fn give_back(config: ConfigMap) -> BTreeMap<String, Opaque> {
    config.into_iter().map(|(key, value)| (key, value.0)).collect()
}

/// A reference is enough to write one.
struct Written<'a>(&'a Opaque);

impl Serialize for OpaqueRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written(&self.0).serialize(serializer)
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Opaque::Null => serializer.serialize_unit(),
            Opaque::Bool(value) => serializer.serialize_bool(*value),
            Opaque::Number(text) => serializer.collect_str(&format_args!("{NUMBER}{text}")),
            Opaque::Text(text) => serializer.collect_str(&format_args!("{TEXT}{text}")),
            Opaque::List(values) => serializer.collect_seq(values.iter().map(Written)),
            Opaque::Map(values) => {
                serializer.collect_map(values.iter().map(|(key, value)| (key, Written(value))))
            }
        }
    }
}

impl<'de> Deserialize<'de> for OpaqueRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(OpaqueRecord)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Opaque;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a bool, a list, an object, or a text that begins with 't' or 'n'")
    }

    fn visit_unit<E: Error>(self) -> Result<Opaque, E> {
        Ok(Opaque::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Opaque, E> {
        Ok(Opaque::Bool(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Opaque, E> {
        if let Some(text) = text.strip_prefix(TEXT) {
            Ok(Opaque::Text(text.to_owned()))
        } else if let Some(number) = text.strip_prefix(NUMBER) {
            Ok(Opaque::Number(number.to_owned()))
        } else {
            Err(E::invalid_value(serde::de::Unexpected::Other("a text"), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Opaque, A::Error> {
        let mut list = Vec::new();
        while let Some(OpaqueRecord(value)) = values.next_element()? {
            list.push(value);
        }
        Ok(Opaque::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Opaque, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, OpaqueRecord(value))) = values.next_entry()? {
            map.insert(key, value);
        }
        Ok(Opaque::Map(map))
    }
}
