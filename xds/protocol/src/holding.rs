//! What one proxy should hold.

use std::sync::Arc;

use crate::kind::Kind;

/// One resource as the protocol sees it. Implemented by a cheap handle, such as an `Arc` of encoded bytes.
pub trait Versioned: Clone {
    /// The name of the resource; unique within its kind.
    fn name(&self) -> &str;

    /// The version of the content: equal versions mean equal content, also across restarts of the server.
    fn version(&self) -> &str;

    /// Whether a client that holds this version may keep it. One that holds the very version always may.
    fn is_held_as(&self, version: &str) -> bool {
        self.version() == version
    }

    /// The resource whose data Envoy drops when it takes a new version of this one: the endpoints of a cluster,
    /// the route of a listener. It is sent again after this one.
    fn child(&self) -> Option<(Kind, &str)> {
        None
    }
}

/// What one proxy should hold now: for each kind, resources by name. Immutable, and a clone costs five counters.
#[derive(Clone, Debug)]
pub struct Holding<R> {
    /// By `Kind::index`; each sorted by name without duplicates.
    kinds: [Arc<[R]>; Kind::COUNT],
}

impl<R: Versioned> Holding<R> {
    /// A builder with no resources.
    #[must_use]
    pub fn builder() -> HoldingBuilder<R> {
        HoldingBuilder {
            kinds: std::array::from_fn(|_| Vec::new()),
        }
    }

    /// A builder that starts with these resources.
    #[must_use]
    pub fn to_builder(&self) -> HoldingBuilder<R> {
        HoldingBuilder {
            kinds: std::array::from_fn(|at| self.kinds[at].to_vec()),
        }
    }

    /// The resource with this kind and name. Costs a binary search.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&R> {
        let list = &self.kinds[kind.index()];
        list.binary_search_by(|resource| resource.name().cmp(name))
            .ok()
            .and_then(|at| list.get(at))
    }

    /// The names of one kind, in order.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.iter(kind).map(Versioned::name)
    }

    /// The resources of one kind, ordered by name.
    pub fn iter(&self, kind: Kind) -> std::slice::Iter<'_, R> {
        self.kinds[kind.index()].iter()
    }

    /// How many resources there are of one kind.
    #[must_use]
    pub fn len(&self, kind: Kind) -> usize {
        self.kinds[kind.index()].len()
    }

    /// Whether there is no resource of any kind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(|list| list.is_empty())
    }

    /// Whether both hold the same names with the same versions of this kind. Costs nothing when the list is shared.
    #[must_use]
    pub fn same_kind(&self, other: &Self, kind: Kind) -> bool {
        let (mine, theirs) = (&self.kinds[kind.index()], &other.kinds[kind.index()]);
        Arc::ptr_eq(mine, theirs)
            || (mine.len() == theirs.len()
                && mine
                    .iter()
                    .zip(theirs.iter())
                    .all(|(a, b)| a.name() == b.name() && a.version() == b.version()))
    }

    /// This holding, with its own list of a kind replaced by that of `other` where both say the same, so that
    /// later comparisons are free.
    #[must_use]
    pub fn sharing(mut self, other: &Self) -> Self {
        for kind in Kind::ALL {
            if self.same_kind(other, kind) {
                self.kinds[kind.index()] = Arc::clone(&other.kinds[kind.index()]);
            }
        }
        self
    }
}

impl<R: Versioned> Default for Holding<R> {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl<R: Versioned> FromIterator<(Kind, R)> for Holding<R> {
    fn from_iter<I: IntoIterator<Item = (Kind, R)>>(items: I) -> Self {
        let mut builder = Self::builder();
        for (kind, resource) in items {
            builder.insert(kind, resource);
        }
        builder.build()
    }
}

/// Collects resources into a [`Holding`].
#[derive(Clone, Debug)]
pub struct HoldingBuilder<R> {
    kinds: [Vec<R>; Kind::COUNT],
}

impl<R: Versioned> HoldingBuilder<R> {
    /// Adds a resource. A later one replaces an earlier one of the same kind and name.
    pub fn insert(&mut self, kind: Kind, resource: R) -> &mut Self {
        self.kinds[kind.index()].push(resource);
        self
    }

    /// Takes a resource out again, if it is there.
    pub fn remove(&mut self, kind: Kind, name: &str) -> &mut Self {
        self.kinds[kind.index()].retain(|resource| resource.name() != name);
        self
    }

    /// The finished holding.
    #[must_use]
    pub fn build(self) -> Holding<R> {
        Holding {
            kinds: self.kinds.map(sorted),
        }
    }
}

/// Sorts by name; of equal names the last one stays.
fn sorted<R: Versioned>(mut list: Vec<R>) -> Arc<[R]> {
    list.reverse();
    list.sort_by(|a, b| a.name().cmp(b.name()));
    list.dedup_by(|later, first| later.name() == first.name());
    list.into()
}
