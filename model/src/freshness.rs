//! How far what is held of a peer is what the peer exports, as an operator is told.

/// Whether what is held is what the peer exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FreshnessState {
    /// It is: heartbeats come, all that came is applied, digests agree.
    Active,
    /// It was, at the moment that the age says.
    Stale,
    /// Something that the peer exports is not held as it is: refused, withheld, or lost.
    Diverged,
    /// There is no stream.
    Failing,
}

impl FreshnessState {
    /// All states.
    pub const ALL: [FreshnessState; 4] = [
        FreshnessState::Active,
        FreshnessState::Stale,
        FreshnessState::Diverged,
        FreshnessState::Failing,
    ];

    /// For operators, and as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            FreshnessState::Active => "ACTIVE",
            FreshnessState::Stale => "STALE",
            FreshnessState::Diverged => "DIVERGED",
            FreshnessState::Failing => "FAILING",
        }
    }
}

/// The state of everything that is held of a peer, or of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `ACTIVE`, `STALE`, `DIVERGED` or `FAILING`; of a service also `FILTERED`, when the operator does not import it.
    pub state: &'static str,
    /// Why it is not active; empty when it is.
    pub reason: String,
    /// How old what is held may be, in milliseconds: since it was last proven to be what the peer exports. `None` when
    /// it never was since the start of this process.
    pub age_ms: Option<u64>,
}

/// A place in the order of the resources of a stream, from 1, and how long ago it was reached, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// 0 when nothing crossed.
    pub index: u64,
    /// `None` when nothing crossed.
    pub age_ms: Option<u64>,
}

/// One imported service, or the mesh face of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedStanding {
    /// The service.
    pub name: String,
    /// Its state.
    pub standing: Standing,
    /// How many instances are held.
    pub instances: usize,
    /// Its newest version.
    pub received: Progress,
    /// The version that is held.
    pub applied: Progress,
}

/// One exported service, or the mesh face of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedStanding {
    /// The service.
    pub name: String,
    /// `SENT` until the peer answers, then `TAKEN` or `REFUSED`; `WITHHELD` when it cannot be sent.
    pub state: &'static str,
    /// Why it was refused or withheld, else empty.
    pub reason: String,
    /// The version that was sent last.
    pub sent: Progress,
}

/// Everything that is known of how fresh a peering is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFreshness {
    /// The state of everything that is held of the peer.
    pub standing: Standing,
    /// Last resource sent.
    pub sent: Progress,
    /// Last resource received.
    pub received: Progress,
    /// Last resource applied.
    pub applied: Progress,
    /// Everything exported as of this revision of the store was sent.
    pub sent_revision: u64,
    /// The peer has answered for everything up to this revision; `None` until it subscribed to everything.
    pub acked_revision: Option<u64>,
    /// Resources that were sent and not answered.
    pub unanswered: usize,
    /// Whether the peer exchanges digests; if not, what is held is judged by what can be observed.
    pub digests: bool,
    /// How often everything was asked for anew because it had diverged, since the start of this process.
    pub resyncs: u64,
    /// Resources of the peer that were refused, with why.
    pub refused: Vec<(String, String)>,
    /// Resources that the peer refused, with why.
    pub refused_by_peer: Vec<(String, String)>,
    /// Imported services.
    pub imports: Vec<ImportedStanding>,
    /// Exported services.
    pub exports: Vec<ExportedStanding>,
}
