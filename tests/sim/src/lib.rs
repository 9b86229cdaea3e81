//! Peering under simulation: two to five clusters in one thread, over a network and a clock that are made up, driven
//! through histories that follow from a seed. What is simulated and what is the real thing is in `docs/simulation.md`.
//!
//! Real, because it is called here as the link calls it: `peerway_state::apply` and `load`, all of
//! `peerway_peering_protocol` (sessions, the decisions on `Open` and exchange, customs, tokens, reconnect delays), and
//! of `peerway_peering_link` the exporter, the importer's transactions, the wire messages, the pump of a stream, the
//! table of streams, the plans and pauses of a dialer, and what introductions and deletions write.
//!
//! Not under simulation: tokio's and tonic's part of the link, which are the files `stream.rs`, `dial.rs`, `grpc.rs`,
//! the loops in `link.rs` and `dialer.rs`, the framing around `admission` in `accept.rs` (with its timeout for `Open`),
//! the round over addresses of an exchange in `introduction.rs`, and the store's writer and feeds.

mod act;
mod cluster;
mod connect;
mod content;
mod event;
mod introduce;
mod ledger;
mod network;
mod random;
mod rows;
mod settled;
mod task;
mod world;

use event::Event;
use random::mix;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Outcome, World};

/// Most lines that are kept of one history.
pub const MAX_LINES: usize = 4_000;
/// Most violations that a report keeps with their history; the others are only counted.
pub const MAX_KEPT: usize = 10;
/// How long after the last fault everything must be as it should: the longest silence that is waited for (two
/// minutes), several of the longest pauses between attempts (64 s) and a margin. In milliseconds.
const PATIENCE: u64 = 600_000;
/// How often it is looked whether it is. In milliseconds.
const LOOK: u64 = 10_000;
/// After how many events it is looked whether what is called fresh is.
const FRESH_STEPS: u64 = 60;
/// Most events of one history; beyond, something goes round in circles.
const MAX_STEPS: u64 = 400_000;

/// What to break on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// What lists of services after a reconnect say to be gone is not removed.
    DropRemoval,
    /// The end of a peering leaves what was imported over it.
    KeepImports,
    /// A stream that takes over does not wait until the one before has ended.
    NoWaiting,
    /// Some imports are lost, and whoever compares what is stored with what came is told that they are there.
    Trusting,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: &'static str,
    /// What was found instead.
    pub text: String,
}

impl Violation {
    fn new(invariant: &'static str, text: impl Into<String>) -> Self {
        Violation {
            invariant,
            text: text.into(),
        }
    }
}

/// What there was to be checked: a simulation in which little happens proves little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits that changed something, at all clusters.
    pub commits: u64,
    /// Streams that were served, each side counted.
    pub streams: u64,
    /// Streams that took over from one that was still there.
    pub takeovers: u64,
    /// Attempts that the network delivered twice.
    pub repeated: u64,
    /// Resources that were imported.
    pub imports: u64,
    /// Resources that were refused.
    pub refused: u64,
    /// Imports that started over because a record had changed.
    pub conflicts: u64,
    /// Tokens that were given out again for the same request.
    pub reissued: u64,
    /// Requests for a token that was used, replaced or revoked, which were refused.
    pub denied: u64,
    /// Revocations of tokens that opened something.
    pub revoked: u64,
    /// Times that everything was asked for anew because what was held had diverged.
    pub resyncs: u64,
    /// Services that somebody held and lost.
    pub lost: u64,
    /// Peerings that ended because the peer said so.
    pub terminated: u64,
    /// Pairs of clusters that were linked in the end, and equal.
    pub links: u64,
}

impl Counts {
    fn add(&mut self, more: &Counts) {
        // All by name, so that none is forgotten.
        let Counts {
            commits,
            streams,
            takeovers,
            repeated,
            imports,
            refused,
            conflicts,
            reissued,
            denied,
            revoked,
            resyncs,
            lost,
            terminated,
            links,
        } = *more;
        self.commits += commits;
        self.streams += streams;
        self.takeovers += takeovers;
        self.repeated += repeated;
        self.imports += imports;
        self.refused += refused;
        self.conflicts += conflicts;
        self.reissued += reissued;
        self.denied += denied;
        self.revoked += revoked;
        self.resyncs += resyncs;
        self.lost += lost;
        self.terminated += terminated;
        self.links += links;
    }
}

/// What came of one history.
#[derive(Clone, Debug)]
pub struct History {
    /// What it followed from.
    pub seed: u64,
    /// How many events there were.
    pub steps: u64,
    /// A hash of every line: equal for equal seeds.
    pub trace: u64,
    /// What there was to be checked.
    pub counts: Counts,
    /// The invariant that did not hold, if any.
    pub violation: Option<Violation>,
    /// What happened, a line each; the oldest are left out of a very long one.
    pub lines: Vec<String>,
}

/// What came of many.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many histories there were.
    pub histories: u64,
    /// How many events, over all.
    pub steps: u64,
    /// What there was to be checked, over all.
    pub counts: Counts,
    /// In how many an invariant did not hold.
    pub violations: u64,
    /// The first [`MAX_KEPT`] of those.
    pub kept: Vec<History>,
}

/// The seed of history `number` of a run.
pub fn seed_of(run: u64, number: u64) -> u64 {
    mix(run.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Runs so many histories that follow from `seed`.
pub fn run(histories: u64, seed: u64, sabotage: Sabotage) -> Report {
    let mut report = Report::default();
    for number in 0..histories {
        let history = replay(seed_of(seed, number), sabotage);
        report.histories += 1;
        report.steps += history.steps;
        report.counts.add(&history.counts);
        if history.violation.is_some() {
            report.violations += 1;
            if report.kept.len() < MAX_KEPT {
                report.kept.push(history);
            }
        }
    }
    report
}

/// The first of so many histories in which an invariant does not hold.
pub fn find(histories: u64, seed: u64, sabotage: Sabotage) -> Option<History> {
    (0..histories)
        .map(|number| replay(seed_of(seed, number), sabotage))
        .find(|history| history.violation.is_some())
}

/// Runs the one history of this seed.
pub fn replay(seed: u64, sabotage: Sabotage) -> History {
    let mut world = match World::new(seed, sabotage) {
        Ok(world) => world,
        Err(violation) => {
            return History {
                seed,
                steps: 0,
                trace: 0,
                counts: Counts::default(),
                violation: Some(violation),
                lines: Vec::new(),
            };
        }
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let violation = match outcome {
        Ok(outcome) => outcome.err(),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Violation::new("nothing panics", text.unwrap_or_default()))
        }
    };
    if let Some(violation) = &violation {
        world.say(format!("VIOLATED {}: {}", violation.invariant, violation.text));
    }
    History {
        seed,
        steps: world.steps,
        trace: world.trace,
        counts: world.counts,
        violation,
        lines: std::mem::take(&mut world.lines),
    }
}

/// A life with faults, then one without until everything is as it should be.
fn live(world: &mut World) -> Outcome {
    while world.actions_left > 0 {
        let Some(event) = world.next(u64::MAX) else {
            break;
        };
        handle(world, event)?;
    }
    world.heal()?;
    let end = world.now + PATIENCE;
    let mut problem = None;
    while world.now < end {
        let look = world.now + LOOK;
        while let Some(event) = world.next(look) {
            handle(world, event)?;
        }
        world.now = look;
        problem = world.unsettled()?;
        if problem.is_none() {
            world.counts.links = world.links()?;
            return Ok(());
        }
    }
    problem.map_or(Ok(()), Err)
}

fn handle(world: &mut World, event: Event) -> Outcome {
    if world.steps > MAX_STEPS {
        let text = format!("{MAX_STEPS} events are not enough");
        return Err(Violation::new("nothing goes round in circles", text));
    }
    if world.steps.is_multiple_of(FRESH_STEPS) {
        world.check_fresh()?;
    }
    match event {
        Event::Act => world.act(),
        Event::Reconcile { cluster, epoch } if world.clusters[cluster].epoch == epoch => {
            world.reconcile(cluster)
        }
        Event::Reconcile { .. } => Ok(()),
        Event::Tick { task } => world.on_tick(task),
        Event::Dial { task, attempt } => world.on_dial(task, attempt),
        Event::Unreachable { task, attempt } => world.unreachable(task, attempt),
        Event::Unanswered { task, connection } => world.unanswered(task, connection),
        Event::Wish { task } => world.on_wish(task),
        Event::Feed { task } => world.on_feed(task),
        Event::Commit { task } => world.commit_import(task),
        Event::Deliver { connection, end } => world.deliver(connection, end),
        Event::Keepalive { connection, end } => world.on_keepalive(connection, end),
        Event::Write { cluster } => world.write(cluster),
        Event::Restart { cluster } => world.restart(cluster),
        Event::Ask {
            acceptor,
            dialer,
            order,
        } => world.ask(acceptor, dialer, order),
        Event::Establish {
            dialer,
            acceptor,
            token,
        } => world.establish(dialer, acceptor, token),
        Event::Exchange { exchange } => world.exchange(exchange),
        Event::GiveUp { claim } => {
            world.claims.remove(&claim);
            Ok(())
        }
        Event::Answer { exchange, stream } => world.answer(exchange, stream),
    }
}
