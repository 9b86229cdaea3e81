//! Encoded resources, shared by all proxies that need them.

use crate::metrics;
use crate::piece::{Encoded, Piece};
use crate::revocation::Mark;
use peerway_mesh::Fragment;
use peerway_state::Revision;
use peerway_xds_translate::{Dialect, Resource, translate, translate_since};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Entries below which dead ones are not looked for.
const CLEAN_FROM: usize = 1024;

/// One resource per fragment, dialect and revocation, for as long as somebody holds it.
///
/// The key is the fragment's address: the mesh keeps one `Arc` for equal fragments, so comparing contents, which
/// can be large, would find nothing more. The weak reference keeps the address from being used again.
#[derive(Default)]
pub(crate) struct Cache {
    entries: HashMap<(usize, Dialect, Option<Mark>), Entry>,
    /// Dead entries are dropped when there are this many; twice the living ones.
    clean_at: usize,
}

struct Entry {
    _fragment: Weak<Fragment>,
    resource: Weak<Encoded>,
}

impl Cache {
    /// The resource of `fragment`, marked if it decides about callers, encoded now if nobody holds it; then its content
    /// came with the revision `since` or a later one.
    pub(crate) fn piece(
        &mut self,
        fragment: &Arc<Fragment>,
        dialect: Dialect,
        mark: Option<&Mark>,
        since: Revision,
    ) -> Piece {
        let key = (Arc::as_ptr(fragment).addr(), dialect, mark.cloned());
        if let Some(resource) = self.entries.get(&key).and_then(|entry| entry.resource.upgrade()) {
            return Piece(resource);
        }
        metrics::ENCODES.inc();
        let piece = Piece::new(encoded(fragment, dialect, mark), since);
        let entry = Entry {
            _fragment: Arc::downgrade(fragment),
            resource: Arc::downgrade(&piece.0),
        };
        self.entries.insert(key, entry);
        if self.entries.len() > self.clean_at.max(CLEAN_FROM) {
            self.entries.retain(|_, entry| entry.resource.strong_count() > 0);
            self.clean_at = self.entries.len() * 2;
        }
        piece
    }
}

fn encoded(fragment: &Fragment, dialect: Dialect, mark: Option<&Mark>) -> Resource {
    let Some(mark) = mark else {
        return translate(fragment, dialect);
    };
    let mut resource = translate_since(fragment, dialect, &mark.since);
    resource.version = mark.version(&resource.version);
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerway_mesh::Endpoints;

    fn fragment(name: &str) -> Arc<Fragment> {
        Arc::new(Fragment::Endpoints(Endpoints {
            cluster: name.to_owned(),
            members: Vec::new(),
        }))
    }

    #[test]
    fn a_fragment_is_encoded_once_while_it_is_held() {
        let mut cache = Cache::default();
        let shared = fragment("a");
        let first = cache.piece(&shared, Dialect::From1_36, None, 1);
        let again = cache.piece(&Arc::clone(&shared), Dialect::From1_36, None, 2);
        assert!(Arc::ptr_eq(&first.0, &again.0));
        assert_eq!(again.since(), 1, "the content is as old as it was");
        assert_eq!(
            cache.piece(&fragment("b"), Dialect::From1_36, None, 3).0.name,
            "b"
        );
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut cache = Cache::default();
        for number in 0..10 * CLEAN_FROM {
            cache.piece(&fragment(&number.to_string()), Dialect::From1_36, None, 0);
        }
        assert!(cache.entries.len() <= CLEAN_FROM + 1);
    }
}
