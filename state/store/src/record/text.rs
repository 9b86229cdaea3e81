//! Values that are kept as one text, and checked when they are read back.

use peerway_model::config::{
    Action, ByLocality, CipherSuite, HeaderName, KeyDiscovery, KeySet, KeyUri, Method, Pattern, Protocol,
    TlsVersion, ValuePart,
};
use peerway_model::filter::Filter;
use peerway_model::grant::{RefusalCause, TokenEnd};
use peerway_model::instance::GatewayMode;
use peerway_model::locality::PlaceName;
use peerway_model::{
    AuditAction, CheckId, CheckStatus, Datacenter, GroupName, InstanceId, Namespace, NodeName, Partition,
    PeerName, PeeringRole, PeeringState, ProviderName, ProxyMode, Regular, Secret, ServiceKind, ServiceName,
    SubsetName, TrustDomain,
};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;

/// A value with exactly one text.
pub(super) trait Textual: Sized {
    fn text(&self) -> Cow<'_, str>;
    /// The value of this text, or what is wrong with it.
    fn of_text(text: &str) -> Result<Self, String>;
}

/// A [`Textual`] as serde sees it.
pub(super) struct Text<T>(pub(super) T);

impl<T: Textual> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text())
    }
}

impl<'de, T: Textual> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        T::of_text(&text).map(Text).map_err(D::Error::custom)
    }
}

/// Wraps what may be absent.
pub(super) fn text<T: Textual + Clone>(value: &Option<T>) -> Option<Text<T>> {
    value.clone().map(Text)
}

macro_rules! names {
    ($($type:ident),*) => {
        $(impl Textual for $type {
            fn text(&self) -> Cow<'_, str> {
                self.as_str().into()
            }

            fn of_text(text: &str) -> Result<Self, String> {
                $type::new(text).map_err(|invalid| invalid.to_string())
            }
        })*
    };
}
names!(
    CheckId,
    Datacenter,
    GroupName,
    HeaderName,
    InstanceId,
    KeySet,
    KeyUri,
    Namespace,
    NodeName,
    Partition,
    PeerName,
    PlaceName,
    ProviderName,
    Regular,
    ServiceName,
    SubsetName,
    TrustDomain
);

macro_rules! parsed {
    ($($type:ident),*) => {
        $(impl Textual for $type {
            fn text(&self) -> Cow<'_, str> {
                self.as_str().into()
            }

            fn of_text(text: &str) -> Result<Self, String> {
                $type::parse(text).ok_or_else(|| format!(concat!("{:?} is not a ", stringify!($type)), text))
            }
        })*
    };
}
parsed!(
    AuditAction,
    ByLocality,
    CheckStatus,
    CipherSuite,
    KeyDiscovery,
    Method,
    PeeringState,
    Protocol,
    ProxyMode,
    RefusalCause,
    ServiceKind,
    TlsVersion,
    TokenEnd
);

macro_rules! variants {
    ($type:ident { $($variant:ident = $text:literal),* }) => {
        impl Textual for $type {
            fn text(&self) -> Cow<'_, str> {
                match self {
                    $($type::$variant => $text.into(),)*
                }
            }

            fn of_text(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok($type::$variant),)*
                    _ => Err(format!(concat!("{:?} is not a ", stringify!($type)), text)),
                }
            }
        }
    };
}
variants!(Action { Allow = "allow", Deny = "deny" });
variants!(ValuePart { Whole = "whole", Start = "start", End = "end", Anywhere = "anywhere" });
variants!(GatewayMode { Local = "local", Remote = "remote" });
variants!(PeeringRole { Acceptor = "acceptor", Dialer = "dialer" });

impl Textual for Secret {
    fn text(&self) -> Cow<'_, str> {
        self.expose().into()
    }

    fn of_text(text: &str) -> Result<Self, String> {
        Ok(Secret::new(text))
    }
}

impl Textual for Filter {
    fn text(&self) -> Cow<'_, str> {
        self.as_str().into()
    }

    fn of_text(text: &str) -> Result<Self, String> {
        Filter::parse(text).map_err(|invalid| invalid.to_string())
    }
}

/// `*` stands for any: no valid name is `*`.
impl<T: Textual> Textual for Pattern<T> {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Pattern::Exact(value) => value.text(),
            Pattern::Any => "*".into(),
        }
    }

    fn of_text(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Pattern::Any),
            exact => T::of_text(exact).map(Pattern::Exact),
        }
    }
}
