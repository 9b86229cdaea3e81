//! One cluster: its rows, what a crash leaves of them, and its table of streams.

use crate::random::Random;
use crate::rows;
use peerway_model::Invalid;
use peerway_peering_link::parts::{Claims, Handle, Setup, Table, Wish};
use peerway_peering_protocol::limits::{NameFilter, NamePattern};
use peerway_peering_protocol::{Freshness, ImportLimits, Terms};
use peerway_runtime::UnixMillis;
use peerway_state::{Applied, Op, Refused, RowChange, RowKey, Snapshot, StoredRow, Transaction, apply, load};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The wall clock at the beginning of a history, unix milliseconds.
const EPOCH: u64 = 1_700_000_000_000;

/// How the owner of a stream reaches its task.
#[derive(Clone)]
pub(crate) struct Mailbox(Rc<Letter>);

struct Letter {
    task: u64,
    wish: RefCell<Wish>,
    unread: Cell<bool>,
    gone: Cell<bool>,
}

impl Mailbox {
    pub(crate) fn new(task: u64) -> Self {
        Mailbox(Rc::new(Letter {
            task,
            wish: RefCell::new(Wish::Run),
            unread: Cell::new(false),
            gone: Cell::new(false),
        }))
    }

    pub(crate) fn task(&self) -> u64 {
        self.0.task
    }

    pub(crate) fn wish(&self) -> Wish {
        self.0.wish.borrow().clone()
    }

    /// Whether a wish came since the last time.
    pub(crate) fn take_unread(&self) -> bool {
        self.0.unread.replace(false)
    }

    pub(crate) fn leave(&self) {
        self.0.gone.set(true);
    }
}

impl Handle for Mailbox {
    fn is_gone(&self) -> bool {
        self.0.gone.get()
    }

    fn tell(&self, wish: Wish) {
        if *self.0.wish.borrow() != wish {
            *self.0.wish.borrow_mut() = wish;
            self.0.unread.set(true);
        }
    }
}

/// One cluster.
pub(crate) struct Cluster {
    pub(crate) index: usize,
    pub(crate) snapshot: Snapshot,
    /// What the storage keeps.
    stored: BTreeMap<RowKey, StoredRow>,
    pub(crate) table: Table<Mailbox>,
    pub(crate) claims: Claims,
    pub(crate) up: bool,
    /// Grows with each start, so that what was scheduled before a crash is ignored after it.
    pub(crate) epoch: u64,
    pub(crate) wall_offset: u64,
    /// Which of its two servers leads.
    pub(crate) leader: usize,
    pub(crate) reconciling: bool,
    /// What it lets in, and what it says.
    pub(crate) terms: Terms,
    /// Largest message that it sends, in bytes.
    pub(crate) max_message_bytes: usize,
    /// Sabotage: what it believes to have stored.
    pub(crate) believed: Option<Snapshot>,
    /// Sabotage: deletions forget to remove what was imported.
    pub(crate) keeps_imports: bool,
}

impl Cluster {
    /// A running cluster with roots and two nodes.
    pub(crate) fn new(index: usize, random: &mut Random) -> Result<Self, Invalid> {
        let mut cluster = Cluster {
            index,
            snapshot: Snapshot::default(),
            stored: BTreeMap::new(),
            table: Table::default(),
            claims: Claims::default(),
            up: true,
            epoch: 0,
            wall_offset: 0,
            leader: 0,
            reconciling: false,
            terms: terms(random)?,
            // Two instances of an ordinary service fit into the smaller one, three do not.
            max_message_bytes: if random.chance(10) { 450 } else { 1 << 20 },
            believed: None,
            keeps_imports: false,
        };
        let transaction = Transaction::new()
            .put(rows::roots(index, 0)?)
            .put(rows::node(index, 0, 1)?)
            .put(rows::node(index, 1, 1)?);
        cluster
            .commit(&transaction)
            .map_err(|refused| Invalid::new("first rows", refused.to_string()))?;
        Ok(cluster)
    }

    /// Where its servers are dialled.
    pub(crate) fn addresses(&self) -> Vec<String> {
        addresses(self.index)
    }

    /// What a stream of it is made with.
    pub(crate) fn setup(&self, before: Freshness) -> Setup {
        Setup {
            addresses: self.addresses(),
            terms: self.terms.clone(),
            max_message_bytes: self.max_message_bytes,
            before,
        }
    }

    /// What it believes to have stored; only under sabotage that is not what it has.
    pub(crate) fn believes(&self) -> &Snapshot {
        self.believed.as_ref().unwrap_or(&self.snapshot)
    }

    pub(crate) fn commit(&mut self, transaction: &Transaction) -> Result<Applied, Refused> {
        let mut transaction = transaction.clone();
        if self.keeps_imports {
            transaction.ops.retain(|op| !matches!(op, Op::ForgetImports(_)));
        }
        let revision = self.snapshot.revision() + 1;
        let applied = apply(&mut self.snapshot, &transaction, revision)?;
        if let Some(believed) = &mut self.believed {
            // It has the same conditions, as they are about records only, which no sabotage touches.
            apply(believed, &transaction, revision)?;
        }
        for change in &applied.rows {
            match change {
                RowChange::Put(row) => {
                    self.stored.insert(row.row.key(), row.clone());
                }
                RowChange::Delete(key) => {
                    self.stored.remove(key);
                }
            }
        }
        Ok(applied)
    }

    /// Stops at once; nothing but what the storage keeps survives.
    pub(crate) fn crash(&mut self) {
        self.up = false;
        self.epoch += 1;
        self.reconciling = false;
        self.table = Table::default();
        self.claims = Claims::default();
    }

    /// Starts from what the storage keeps.
    pub(crate) fn restart(&mut self) -> Result<(), Refused> {
        let revision = self.snapshot.revision();
        self.snapshot = load(self.stored.values().cloned(), revision)?;
        if self.believed.is_some() {
            self.believed = Some(self.snapshot.clone());
        }
        self.up = true;
        Ok(())
    }

    /// The wall clock, which may jump.
    pub(crate) fn wall(&self, now: u64) -> UnixMillis {
        UnixMillis((EPOCH + now).wrapping_add(self.wall_offset))
    }
}

/// Most clusters let everything in and speak as we do; some leave services out, allow few, read slowly, or speak as
/// Consul does.
fn terms(random: &mut Random) -> Result<Terms, Invalid> {
    let mut limits = ImportLimits::default();
    if random.chance(15) {
        let pattern = NamePattern::parse(["db", "web*"][random.index(2)]);
        let exclude = vec![pattern.map_err(|problem| Invalid::new("pattern", problem))?];
        limits.filter = NameFilter {
            include: Vec::new(),
            exclude,
        };
    }
    if random.chance(10) {
        limits.max_services = 2;
    }
    if random.chance(10) {
        limits.updates_per_second = 4;
    }
    Ok(Terms {
        limits,
        plain: random.chance(20),
    })
}

/// The two addresses of a cluster's servers.
pub(crate) fn addresses(index: usize) -> Vec<String> {
    (0..2).map(|server| format!("c{index}-s{server}:8503")).collect()
}

/// Cluster and server of an address.
pub(crate) fn resolve(address: &str) -> Option<(usize, usize)> {
    let (cluster, rest) = address.strip_prefix('c')?.split_once("-s")?;
    let (server, _) = rest.split_once(':')?;
    Some((cluster.parse().ok()?, server.parse().ok()?))
}
