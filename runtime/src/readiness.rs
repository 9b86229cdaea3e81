//! Start-up readiness: the process is ready when every room has dropped its guard.

use std::sync::Arc;

use tokio::sync::watch;

/// The gate that answers readiness probes; clones share it.
///
/// A gate that nobody blocks is ready, so take all guards before the probe can be asked.
#[derive(Clone, Debug)]
pub struct Readiness {
    shared: Arc<watch::Sender<Pending>>,
}

#[derive(Debug, Default)]
struct Pending {
    /// In the order in which the guards were taken; a handful, one for each room.
    names: Vec<(u64, &'static str)>,
    next: u64,
}

impl Readiness {
    /// Makes a gate without any guard.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(watch::Sender::new(Pending::default())),
        }
    }

    /// Holds readiness back until the guard is dropped. `name` says what is waited for, as shown by
    /// [`Readiness::waiting_for`]; two guards may bear the same name.
    ///
    /// It may also be called on a gate that was ready, which then is not any more.
    pub fn block(&self, name: &'static str) -> ReadyGuard {
        let mut id = 0;
        self.shared.send_modify(|pending| {
            id = pending.next;
            pending.next += 1;
            pending.names.push((id, name));
        });
        ReadyGuard {
            shared: Arc::clone(&self.shared),
            id,
        }
    }

    /// Returns whether no guard is held.
    pub fn is_ready(&self) -> bool {
        self.shared.borrow().names.is_empty()
    }

    /// Returns the names of the guards still held, oldest first.
    pub fn waiting_for(&self) -> Vec<&'static str> {
        self.shared.borrow().names.iter().map(|(_, name)| *name).collect()
    }

    /// Returns once no guard is held, at once if none is. Cancel safe.
    pub async fn wait(&self) {
        let mut pending = self.shared.subscribe();
        // The sender lives in self, so the wait cannot end by the channel closing.
        let _ = pending.wait_for(|pending| pending.names.is_empty()).await;
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

/// Holds readiness back; drop it when the room can serve.
///
/// A guard dropped by a panic keeps holding: what it stood for never became ready.
#[derive(Debug)]
#[must_use = "dropping the guard says that the room is ready"]
pub struct ReadyGuard {
    shared: Arc<watch::Sender<Pending>>,
    id: u64,
}

impl ReadyGuard {
    /// Says that the room is ready; the same as dropping the guard, but visible in the code.
    pub fn ready(self) {}
}

impl Drop for ReadyGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.shared
            .send_modify(|pending| pending.names.retain(|(id, _)| *id != self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_ready_when_the_last_guard_is_dropped() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let store = readiness.block("store");
        let peers = readiness.block("peers");
        let again = readiness.block("store");
        assert_eq!(readiness.waiting_for(), ["store", "peers", "store"]);

        let waiter = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.wait().await }
        });
        store.ready();
        assert_eq!(readiness.waiting_for(), ["peers", "store"]);
        drop(again);
        assert!(!readiness.is_ready() && !waiter.is_finished());
        drop(peers);
        waiter.await.unwrap();
        assert!(readiness.is_ready() && readiness.waiting_for().is_empty());
    }

    #[tokio::test]
    async fn a_guard_lost_in_a_panic_keeps_holding() {
        let readiness = Readiness::new();
        let guard = readiness.block("certs");
        let failed = tokio::spawn(async move {
            let _guard = guard;
            panic!("made to fail by the test");
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(readiness.waiting_for(), ["certs"]);
    }
}
