//! What happens at a moment of simulated time.

use peerway_peering_link::TokenOrder;
use peerway_peering_protocol::Refusal;

/// One event. Tasks and connections are named by number; one that is gone makes the event void.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Operators, workloads or the weather do something.
    Act,
    /// A cluster makes its streams equal to its records.
    Reconcile { cluster: usize, epoch: u64 },
    /// A session's timer.
    Tick { task: u64 },
    /// A dialer tries again.
    Dial { task: u64, attempt: u64 },
    /// An attempt has found nobody.
    Unreachable { task: u64, attempt: u64 },
    /// The acceptor has not answered the opening in time.
    Unanswered { task: u64, connection: u64 },
    /// A task reads its owner's wish.
    Wish { task: u64 },
    /// A task hears of commits.
    Feed { task: u64 },
    /// An import that was planned is committed.
    Commit { task: u64 },
    /// The first frame towards this end is taken.
    Deliver { connection: u64, end: usize },
    /// A keepalive finds out that the connection is dead.
    Keepalive { connection: u64, end: usize },
    /// A workload or an operator of a cluster writes.
    Write { cluster: usize },
    /// A crashed cluster starts.
    Restart { cluster: usize },
    /// Automation asks for a token, perhaps not for the first time.
    Ask {
        acceptor: usize,
        dialer: usize,
        order: TokenOrder,
    },
    /// An operator of the dialer uses a token.
    Establish {
        dialer: usize,
        acceptor: usize,
        token: String,
    },
    /// The exchange reaches the acceptor.
    Exchange { exchange: Exchange },
    /// The dialer's call has taken too long.
    GiveUp { claim: u64 },
    /// Its answer reaches the dialer.
    Answer {
        exchange: Exchange,
        stream: Result<String, Refusal>,
    },
}

/// An exchange on its way.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) dialer: usize,
    pub(crate) acceptor: usize,
    /// The dialer's epoch: its operator's call does not survive a crash.
    pub(crate) epoch: u64,
    pub(crate) token: String,
    /// Of the claim that the dialer's call holds.
    pub(crate) claim: u64,
}
