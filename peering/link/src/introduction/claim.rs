//! One introduction at a time for each peering.

use super::IntroductionError;
use parking_lot::Mutex;
use peerway_model::PeeringKey;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The peerings that are being established. Two at once would race: the secret that is written last need not be the
/// one that the acceptor gave last, and only that one is good. Clones share it.
#[derive(Clone, Default)]
pub struct Claims {
    held: Arc<Mutex<BTreeSet<PeeringKey>>>,
}

/// The right to establish a peering, until it is dropped.
pub struct Claim {
    claims: Claims,
    key: PeeringKey,
}

impl Claims {
    /// Claims a peering.
    ///
    /// # Errors
    /// [`IntroductionError::Conflict`] while somebody else has it.
    pub fn claim(&self, key: &PeeringKey) -> Result<Claim, IntroductionError> {
        if self.held.lock().insert(key.clone()) {
            return Ok(Claim {
                claims: self.clone(),
                key: key.clone(),
            });
        }
        Err(IntroductionError::Conflict(format!(
            "peering {} is being established already, try again in a moment",
            key.name
        )))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.held.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::peering;

    #[test]
    fn a_peering_is_established_by_one_at_a_time() {
        let claims = Claims::default();
        let first = claims.claim(&peering("west")).unwrap();
        let refused = claims.clone().claim(&peering("west")).err().unwrap();
        assert!(
            matches!(&refused, IntroductionError::Conflict(text) if text.contains("west") && text.contains("try again")),
            "{refused}"
        );
        assert!(claims.claim(&peering("north")).is_ok());
        drop(first);
        assert!(claims.claim(&peering("west")).is_ok());
    }
}
