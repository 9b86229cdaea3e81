//! The change from one root to another, as it is stored and as it is shown.

use crate::authority::BroughtRoot;
use std::collections::BTreeSet;
use std::time::Duration;

/// The kind of a root's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RootKey {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with a modulus of so many bits. Such a root is brought by an operator, none is made here.
    Rsa(u16),
}

/// Shortest modulus of an RSA root, in bits.
pub const MIN_RSA_BITS: u16 = 2048;
/// Longest modulus of an RSA root, in bits; longer ones make every handshake slow.
pub const MAX_RSA_BITS: u16 = 4096;

impl RootKey {
    /// Length of the key in bits, as Consul's `PrivateKeyBits` has it.
    pub fn bits(self) -> u64 {
        match self {
            RootKey::P256 => 256,
            RootKey::P384 => 384,
            RootKey::Rsa(bits) => bits.into(),
        }
    }

    /// Its family, as Consul's `PrivateKeyType` has it: `ec` or `rsa`.
    pub fn family(self) -> &'static str {
        match self {
            RootKey::P256 | RootKey::P384 => "ec",
            RootKey::Rsa(_) => "rsa",
        }
    }

    /// The elliptic kind with keys of this length.
    pub fn of_curve_bits(bits: u64) -> Option<Self> {
        match bits {
            256 => Some(RootKey::P256),
            384 => Some(RootKey::P384),
            _ => None,
        }
    }

    /// RSA with keys of this length.
    pub fn of_rsa_bits(bits: u64) -> Option<Self> {
        let bits = u16::try_from(bits).ok()?;
        (MIN_RSA_BITS..=MAX_RSA_BITS)
            .contains(&bits)
            .then_some(RootKey::Rsa(bits))
    }
}

/// The root that a rotation is to end with.
#[derive(Clone, Debug)]
pub enum NewRoot {
    /// One that is made here.
    Made(RootKey),
    /// One that an operator brings.
    Brought(BroughtRoot),
}

/// How far a rotation is. Each step waits for something, and lasts a while for what cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RotationPhase {
    /// The new root is trusted by whoever has heard of it, and does not sign. Waits until everybody has.
    Announced,
    /// Everybody had confirmed the new root. Lasts until the proxies of the peers have it as well.
    Confirmed,
    /// The new root signs; leaves are replaced. Waits until every leaf of the old root is.
    Switched,
    /// Every leaf of the old root was replaced. Lasts until that has reached every worker; then the old root goes.
    Replaced,
}

impl RotationPhase {
    /// All, in order.
    pub const ALL: [RotationPhase; 4] = [
        RotationPhase::Announced,
        RotationPhase::Confirmed,
        RotationPhase::Switched,
        RotationPhase::Replaced,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            RotationPhase::Announced => "announced",
            RotationPhase::Confirmed => "confirmed",
            RotationPhase::Switched => "switched",
            RotationPhase::Replaced => "replaced",
        }
    }

    /// The phase with this word.
    pub fn parse(text: &str) -> Option<Self> {
        RotationPhase::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
    }
}

/// A rotation from one root to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rotation {
    /// How far it is.
    pub phase: RotationPhase,
    /// [`CaRoot::id`] of the root that signed before.
    pub old_root: String,
    /// [`CaRoot::id`] of the root that will sign.
    pub new_root: String,
    /// When it began, unix milliseconds.
    pub started: u64,
    /// When the phase began, unix milliseconds.
    pub since: u64,
    /// When the new root began to sign, unix milliseconds.
    pub switched: Option<u64>,
    /// Peerings (by [`Peering::id`](crate::Peering)) whose peer has stored a bundle with the new root. That outlives
    /// streams and restarts.
    pub confirmed_peers: BTreeSet<String>,
}

/// Who must confirm something before a rotation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WitnessKind {
    /// A proxy of this cluster.
    Proxy,
    /// Another cluster.
    Peer,
}

impl WitnessKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            WitnessKind::Proxy => "proxy",
            WitnessKind::Peer => "peer",
        }
    }
}

/// What one proxy or peer has confirmed of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What it is.
    pub kind: WitnessKind,
    /// Its name, for people.
    pub name: String,
    /// The peering's id; of a proxy, its instance's.
    pub id: String,
    /// Whether it trusts the new root, or why not as far as is known.
    pub trusts: Result<(), String>,
    /// Whether it no longer shows a leaf of the old root, or why not. A peer shows none of ours.
    pub renewed: Result<(), String>,
    /// What it would lose if the rotation went on without it; for people.
    pub loses: &'static str,
}

/// Somebody or something that a rotation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is; `None` for something that is not one proxy or peer.
    pub kind: Option<WitnessKind>,
    /// Its name.
    pub name: String,
    /// Why it has not confirmed, as far as is known.
    pub reason: String,
    /// What it would lose if the rotation went on without it.
    pub loses: String,
}

/// Where the authority stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationStatus {
    /// [`CaRoot::id`](crate::CaRoot) of the root that signs.
    pub active_root: String,
    /// The kind of its key; `None` for one that this version does not make.
    pub key: Option<RootKey>,
    /// How long leaves live.
    pub leaf_ttl: Duration,
    /// The rotation that is under way.
    pub rotation: Option<Rotation>,
    /// Whom it waits for; empty without a rotation.
    pub missing: Vec<Missing>,
}
