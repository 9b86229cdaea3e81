//! Where something runs: a region, and a zone inside it.

use crate::Invalid;
use std::fmt;
use std::sync::Arc;

/// Longest name of a region or a zone, in bytes. Those of clouds have a few dozen at most.
pub const MAX_PLACE_BYTES: usize = 128;

/// The name of a region or of a zone: visible ASCII without spaces. Compared as it is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceName(Arc<str>);

impl PlaceName {
    /// Validates `text`; the error has an empty path and names the rule that was broken.
    ///
    /// # Errors
    /// When it is empty, longer than [`MAX_PLACE_BYTES`], or has other characters.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let problem = match text.len() {
            0 => "must not be empty".to_owned(),
            bytes if bytes > MAX_PLACE_BYTES => {
                format!("is {bytes} bytes long, at most {MAX_PLACE_BYTES} are allowed")
            }
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                format!("{text:?} is not the name of a region or zone: use visible ASCII without spaces")
            }
            _ => return Ok(PlaceName(Arc::from(text))),
        };
        Err(Invalid::new("", problem))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PlaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Where an instance or a node runs. A zone belongs to its region: the same name in another region is another zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// The region.
    pub region: PlaceName,
    /// The zone inside it, if it is known.
    pub zone: Option<PlaceName>,
}

/// How far an instance is from a caller, from near to far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Distance {
    /// In the same zone; also where nobody asks.
    #[default]
    SameZone,
    /// In another zone of the region, or in one of those that do not say in which zone they are.
    SameRegion,
    /// In another region, or nobody knows where.
    Elsewhere,
}

impl Locality {
    /// The locality of these texts, of which an empty one says nothing; `None` when both are empty.
    ///
    /// # Errors
    /// What is wrong with the one at the path `Region` or `Zone`; a zone without a region.
    pub fn of(region: &str, zone: &str) -> Result<Option<Self>, Invalid> {
        let zone = match zone {
            "" => None,
            zone => Some(PlaceName::new(zone).map_err(|error| error.within("Zone"))?),
        };
        match (region, zone) {
            ("", None) => Ok(None),
            ("", Some(_)) => Err(Invalid::new(
                "Region",
                "is required with Zone: zones belong to a region",
            )),
            (region, zone) => Ok(Some(Locality {
                region: PlaceName::new(region).map_err(|error| error.within("Region"))?,
                zone,
            })),
        }
    }

    /// How far `other` is, which may be unknown.
    pub fn distance(&self, other: Option<&Locality>) -> Distance {
        match other {
            Some(other) if other.region == self.region => match (&self.zone, &other.zone) {
                (Some(own), Some(other)) if own == other => Distance::SameZone,
                _ => Distance::SameRegion,
            },
            _ => Distance::Elsewhere,
        }
    }
}

impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            None => write!(f, "{}", self.region),
            Some(zone) => write!(f, "{}/{zone}", self.region),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(region: &str, zone: &str) -> Option<Locality> {
        Locality::of(region, zone).unwrap()
    }

    #[test]
    fn a_zone_needs_a_region_and_names_are_bounded() {
        assert_eq!(at("", ""), None);
        assert_eq!(at("eu-1", "").unwrap().to_string(), "eu-1");
        assert_eq!(at("eu-1", "a").unwrap().to_string(), "eu-1/a");
        let long = "x".repeat(MAX_PLACE_BYTES + 1);
        for (region, zone, path) in [
            ("", "a", "Region"),
            ("eu 1", "", "Region"),
            (&long, "", "Region"),
            ("eu-1", "ü", "Zone"),
            ("eu-1", "a\n", "Zone"),
            ("eu-1", &long, "Zone"),
        ] {
            let error = Locality::of(region, zone).unwrap_err().to_string();
            assert!(error.starts_with(path), "{error}");
        }
        assert!(Locality::of(&"x".repeat(MAX_PLACE_BYTES), "a").is_ok());
    }

    #[test]
    fn the_same_zone_is_nearer_than_the_region_and_that_than_elsewhere() {
        let here = at("eu-1", "a").unwrap();
        for (other, distance) in [
            (at("eu-1", "a"), Distance::SameZone),
            (at("eu-1", "b"), Distance::SameRegion),
            (at("eu-1", ""), Distance::SameRegion),
            (at("eu-2", "a"), Distance::Elsewhere),
            (None, Distance::Elsewhere),
        ] {
            assert_eq!(here.distance(other.as_ref()), distance, "{other:?}");
        }
        // Two that do not say in which zone they are may be in different ones.
        let region = at("eu-1", "").unwrap();
        assert_eq!(region.distance(Some(&region)), Distance::SameRegion);
        assert!(Distance::SameZone < Distance::SameRegion && Distance::SameRegion < Distance::Elsewhere);
    }
}
