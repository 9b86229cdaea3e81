//! A count of things in progress that can be waited on until it is zero.

use tokio::sync::watch;

#[derive(Clone, Debug)]
pub(crate) struct Tally {
    count: watch::Sender<usize>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            count: watch::Sender::new(0),
        }
    }

    pub(crate) fn hold(&self) -> Held {
        self.count.send_modify(|count| *count += 1);
        Held {
            count: self.count.clone(),
        }
    }

    pub(crate) fn get(&self) -> usize {
        *self.count.borrow()
    }

    /// Returns once the count is zero, at once if it already is.
    pub(crate) async fn zero(&self) {
        let mut receiver = self.count.subscribe();
        // The sender lives in self, so the wait cannot end by the channel closing.
        let _ = receiver.wait_for(|count| *count == 0).await;
    }
}

/// One of the things counted; dropping it takes it off the count.
#[derive(Debug)]
pub(crate) struct Held {
    count: watch::Sender<usize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count -= 1);
    }
}
