//! The hatch through which leaves come in.

use peerway_model::{InstanceKey, Leaf, SpiffeId};
use std::sync::Arc;
use tokio::sync::watch;

/// Issues leaves and keeps them fresh. Filled in by the composition root.
pub trait SecretSource: Send + Sync + 'static {
    /// The newest leaf of `identity`, for the Envoy of `proxy`, which also has these DNS names; its value is `None` until
    /// one was issued. The names are from entries, never from the proxy. `None` when that proxy must not have it, as far as
    /// is known now. Must not block. Whoever drops the last receiver has no more use for the leaf. When the sender is
    /// dropped the last leaf stays in use.
    fn subscribe(
        &self,
        proxy: &InstanceKey,
        identity: &SpiffeId,
        dns_names: &[String],
    ) -> Option<watch::Receiver<Option<Arc<Leaf>>>>;
}
