//! Fairness between peers: each stream has at most one import in hand, and they take turns in the order in which they
//! ask. So a peer with very much to say waits after each resource until every other one that waits has had its turn.
//! What is to be committed then stands in the queue of the store's writer, one import of each peer at most.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Imports that are validated and planned at a time, over all peers: more would take the threads of everything else.
pub const IMPORTS_AT_ONCE: usize = 2;

/// The turns.
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Turns::new(IMPORTS_AT_ONCE)
    }
}

impl Turns {
    fn new(at_once: usize) -> Self {
        Turns(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a turn, which lasts until what is returned is dropped. First come, first served.
    pub(crate) async fn next(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[tokio::test]
    async fn a_peer_with_much_to_say_does_not_delay_another() {
        let turns = Arc::new(Turns::new(1));
        let done = Arc::new(Mutex::new(Vec::new()));
        let peer = |name: &'static str, imports: usize| {
            let (turns, done) = (turns.clone(), done.clone());
            tokio::spawn(async move {
                for _ in 0..imports {
                    let turn = turns.next().await;
                    // The planning: others get to ask for their turn meanwhile.
                    tokio::task::yield_now().await;
                    done.lock().push(name);
                    drop(turn);
                }
            })
        };
        let (noisy, quiet) = (peer("noisy", 1_000), peer("quiet", 20));
        noisy.await.unwrap();
        quiet.await.unwrap();
        let done = done.lock();
        let last = done.iter().rposition(|name| *name == "quiet").unwrap();
        assert!(
            last <= 2 * 20,
            "the quiet peer's last import was number {last} of all"
        );
    }
}
