//! The driver of one stream: what `peering/link`'s tasks do, over the simulated network and clock.

use crate::cluster::Mailbox;
use crate::event::Event;
use crate::network::{ACCEPTOR, DIALER, Frame};
use crate::world::{Outcome, World};
use crate::{Sabotage, Violation};
use peerway_model::{Origin, PeeringKey, PeeringRole};
use peerway_peering_link::parts::{
    self, Handle, MAX_CONFLICTS, Plan, Pump, Redial, Task as Work, Wish, from_bytes, to_bytes,
};
use peerway_peering_protocol::{Code, End, Refusal, Resource, Ticket};
use peerway_state::{ChangeSet, RowKey, Transaction};
use std::time::Duration;

/// Most messages that a stream of these small clusters may ever have waiting: a full export (four services with
/// their mesh faces, list, roots, addresses) and an answer to each of what a window of the other side holds, several
/// times over. The link's own limit is for the largest peers.
pub(crate) const MAX_WAITING: usize = 120;

/// A task of a cluster.
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) cluster: usize,
    pub(crate) key: PeeringKey,
    /// The cluster at the other end.
    pub(crate) other: usize,
    pub(crate) generation: u64,
    pub(crate) mailbox: Mailbox,
    /// The task before, until it is gone.
    pub(crate) before: Option<Mailbox>,
    pub(crate) dialing: Option<Dialing>,
    pub(crate) connection: Option<u64>,
    pub(crate) pump: Option<Pump>,
    /// Whether the stream is served: admitted or answered, and nobody is before it.
    pub(crate) running: bool,
    /// An import that is planned and not committed.
    pub(crate) pending: Option<Pending>,
    /// What was committed and not heard of.
    pub(crate) heard: ChangeSet,
    pub(crate) hearing: bool,
    closed_sending: bool,
    ticking: Option<u64>,
}

/// What a dialer keeps between attempts.
pub(crate) struct Dialing {
    pub(crate) redial: Redial,
    pub(crate) plan: Option<Plan>,
    pub(crate) started: u64,
    /// Number of the attempt, so that what belongs to an earlier one is ignored.
    pub(crate) attempt: u64,
    pub(crate) waiting: bool,
}

/// An import on its way into the store.
pub(crate) struct Pending {
    ticket: Ticket,
    resource: Resource,
    transaction: Result<Transaction, Refusal>,
    tries: usize,
}

/// The moment on the monotonic clock of everybody.
pub(crate) fn monotonic(now: u64) -> Duration {
    Duration::from_millis(now)
}

impl World {
    /// A task of its own for a stream of this peering.
    pub(crate) fn start_task(
        &mut self,
        cluster: usize,
        key: &PeeringKey,
        other: usize,
        dialing: Option<Dialing>,
    ) -> u64 {
        let id = self.number();
        let mailbox = Mailbox::new(id);
        let (generation, before) = self.clusters[cluster].table.register(key, mailbox.clone());
        self.counts.takeovers += u64::from(before.as_ref().is_some_and(|before| !before.is_gone()));
        let before = before.filter(|before| !before.is_gone() && self.sabotage != Sabotage::NoWaiting);
        let task = Task {
            id,
            cluster,
            key: key.clone(),
            other,
            generation,
            mailbox,
            before,
            dialing,
            connection: None,
            pump: None,
            running: false,
            pending: None,
            heard: ChangeSet::default(),
            hearing: false,
            closed_sending: false,
            ticking: None,
        };
        self.tasks.insert(id, task);
        self.deliver_wishes(cluster);
        id
    }

    /// Schedules the reading of wishes that were just left.
    pub(crate) fn deliver_wishes(&mut self, cluster: usize) {
        let of_cluster = self.tasks.values().filter(|task| task.cluster == cluster);
        let unread: Vec<u64> = of_cluster
            .filter(|task| task.mailbox.take_unread())
            .map(|task| task.mailbox.task())
            .collect();
        for task in unread {
            // A task may be busy; it is more often when that is what the sabotage needs.
            let busy = self.random.chance(15) || self.sabotage == Sabotage::NoWaiting;
            let most = if self.faults && busy { 4_000 } else { 40 };
            let delay = self.random.below(most);
            self.after(delay, Event::Wish { task });
        }
    }

    /// Serves the stream of a task, unless somebody is before it.
    pub(crate) fn serve(&mut self, id: u64) -> Outcome {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        if task.before.as_ref().is_some_and(|before| !before.is_gone()) {
            return Ok(());
        }
        task.before = None;
        task.running = true;
        task.heard = ChangeSet::default();
        let (cluster, other, key, generation) = (task.cluster, task.other, task.key.clone(), task.generation);
        let wall = self.clusters[cluster].wall(now);
        self.clusters[cluster].table.connected(&key, generation, wall);
        self.counts.streams += 1;
        self.say(format!("c{cluster} serves its stream with c{other} (task {id})"));
        self.check_single(cluster, &key)?;
        let snapshot = &self.clusters[cluster].snapshot;
        let pump = self.tasks.get_mut(&id).and_then(|task| task.pump.as_mut());
        let Some(end) = pump.and_then(|pump| pump.reload(snapshot)) else {
            return self.work(id);
        };
        self.end_stream(id, end)
    }

    fn check_single(&self, cluster: usize, key: &PeeringKey) -> Outcome {
        let of_peering = |task: &&Task| task.cluster == cluster && task.key == *key && task.running;
        let running = self.tasks.values().filter(of_peering).count();
        if running > 1 && self.sabotage != Sabotage::NoWaiting {
            let text = format!("c{cluster} serves {running} streams of {}", key.name);
            return Err(Violation::new("one stream a peering", text));
        }
        Ok(())
    }

    /// Does what the pump of a task asks for, sends what has room, and schedules the rest.
    pub(crate) fn work(&mut self, id: u64) -> Outcome {
        loop {
            let now = monotonic(self.now);
            let Some(task) = self.tasks.get_mut(&id) else {
                return Ok(());
            };
            if !task.running || task.pending.is_some() {
                return Ok(());
            }
            let Some(pump) = task.pump.as_mut() else {
                return Ok(());
            };
            match pump.next_task() {
                Some(Work::Import { ticket, resource }) => {
                    self.plan_import(id, ticket, resource, 0)?;
                    continue;
                }
                Some(Work::Verify) => {
                    pump.verify(self.clusters[task.cluster].believes(), now);
                    continue;
                }
                Some(Work::Refused { reason, .. }) => {
                    let (cluster, other) = (task.cluster, task.other);
                    self.counts.refused += 1;
                    self.say(format!("c{cluster} refuses from c{other}: {reason}"));
                    continue;
                }
                Some(Work::Resync { reason }) => {
                    let (cluster, other) = (task.cluster, task.other);
                    self.counts.resyncs += 1;
                    self.say(format!("c{cluster} asks c{other} for everything anew: {reason}"));
                    continue;
                }
                Some(Work::MarkTerminated) => {
                    let (cluster, other) = (task.cluster, task.other);
                    let peer_id = pump.peer_id().to_owned();
                    let key = task.key.clone();
                    let snapshot = &self.clusters[cluster].snapshot;
                    if let Some(transaction) = parts::terminated(snapshot, &key, &peer_id) {
                        self.say(format!("c{cluster} learns that c{other} deleted the peering"));
                        self.commit(cluster, &transaction)?;
                        self.counts.terminated += 1;
                        // On an acceptor its tokens are void; a dialer has no secrets in the ledger.
                        let own = self.clusters[cluster].snapshot.peering(&key);
                        if own.is_some_and(|own| own.role == PeeringRole::Acceptor) {
                            self.introductions.deleted(&peer_id);
                        }
                        self.promises.withdraw(cluster, other);
                    }
                    continue;
                }
                Some(Work::End(end)) => return self.end_stream(id, end),
                None => {}
            }
            if pump.waiting() > MAX_WAITING {
                let text = format!("{} messages wait at c{}", pump.waiting(), task.cluster);
                return Err(Violation::new("memory is bounded", text));
            }
            let table = &mut self.clusters[task.cluster].table;
            table.publish(&task.key, task.generation, pump.freshness());
            if pump.wants_export() {
                pump.export(&self.clusters[task.cluster].snapshot, now);
                continue;
            }
            let closes = pump.closes() && !std::mem::replace(&mut task.closed_sending, pump.closes());
            if closes {
                self.send(id, Frame::End);
                continue;
            }
            if self.send_waiting(id) {
                continue;
            }
            return self.schedule(id);
        }
    }

    /// Sends as many messages as have room; returns whether there were any.
    fn send_waiting(&mut self, id: u64) -> bool {
        let mut sent = false;
        loop {
            let Some(task) = self.tasks.get_mut(&id) else {
                return sent;
            };
            let Some(pump) = task.pump.as_mut() else {
                return sent;
            };
            let end = usize::from(task.dialing.is_some());
            let connection = task
                .connection
                .and_then(|connection| self.connections.get(&connection));
            let room = connection.is_some_and(|connection| connection.has_room(end));
            if task.closed_sending {
                pump.discard_waiting();
            }
            if !room {
                return sent;
            }
            let Some(message) = pump.take() else {
                return sent;
            };
            sent = true;
            self.send(id, Frame::Message(to_bytes(&message)));
        }
    }

    /// Sends a frame to the other end of a task's connection.
    pub(crate) fn send(&mut self, id: u64, frame: Frame) {
        let Some(task) = self.tasks.get(&id) else {
            return;
        };
        let end = if task.dialing.is_some() { ACCEPTOR } else { DIALER };
        if let Some(connection) = task.connection {
            self.transmit(connection, end, frame);
        }
    }

    fn schedule(&mut self, id: u64) -> Outcome {
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let due = task.pump.as_ref().and_then(Pump::next_tick);
        let connection = task.connection;
        let end = if task.dialing.is_some() { DIALER } else { ACCEPTOR };
        if let Some(due) = due {
            let due = u64::try_from(due.as_millis()).unwrap_or(u64::MAX).max(self.now);
            if task
                .ticking
                .is_none_or(|ticking| due < ticking || ticking < self.now)
            {
                task.ticking = Some(due);
                self.after(due - self.now, Event::Tick { task: id });
            }
        }
        if let Some(connection) = connection {
            self.schedule_delivery(connection, end);
        }
        Ok(())
    }

    pub(crate) fn on_tick(&mut self, id: u64) -> Outcome {
        let now = monotonic(self.now);
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        task.ticking = None;
        if task.running
            && let Some(pump) = task.pump.as_mut()
        {
            pump.tick(now);
        }
        self.work(id)
    }

    /// Plans an import and commits it at once or a little later, when others may have committed in between.
    fn plan_import(&mut self, id: u64, ticket: Ticket, resource: Resource, tries: usize) -> Outcome {
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let Some(pump) = task.pump.as_ref() else {
            return Ok(());
        };
        let snapshot = &self.clusters[task.cluster].snapshot;
        let transaction = parts::import(snapshot, &task.key, pump.peer_id(), &resource);
        task.pending = Some(Pending {
            ticket,
            resource: resource.clone(),
            transaction,
            tries,
        });
        if self.sabotage == Sabotage::DropRemoval {
            self.drop_removal(id, &resource);
        }
        if self.random.chance(30) {
            // Some commits are slow.
            let most = if self.faults && self.random.chance(15) {
                1_500
            } else {
                60
            };
            let delay = self.random.within(1, most);
            self.after(delay, Event::Commit { task: id });
            return Ok(());
        }
        self.commit_import(id)
    }

    /// Commits the planned import of a task.
    pub(crate) fn commit_import(&mut self, id: u64) -> Outcome {
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let Some(Pending {
            ticket,
            resource,
            transaction,
            tries,
        }) = task.pending.take()
        else {
            return Ok(());
        };
        let (cluster, other, key) = (task.cluster, task.other, task.key.clone());
        let result = match transaction {
            Err(refusal) => Err(refusal),
            Ok(transaction) => {
                check_touches_only(&transaction, &key)?;
                let service = matches!(resource, Resource::ExportedService { .. });
                if self.sabotage == Sabotage::Trusting && service && self.random.chance(5) {
                    self.believe(cluster, &transaction)
                } else if self.commit(cluster, &transaction)? {
                    Ok(())
                } else if tries + 1 < MAX_CONFLICTS {
                    self.counts.conflicts += 1;
                    return self.plan_import(id, ticket, resource, tries + 1);
                } else {
                    Err(Refusal::new(
                        Code::Unavailable,
                        "the peering's record keeps changing",
                    ))
                }
            }
        };
        if result.is_ok() {
            self.counts.imports += 1;
            self.check_import(cluster, other)?;
        }
        if let Err(refusal) = &result {
            self.counts.refused += 1;
            self.say(format!("c{cluster} refuses from c{other}: {refusal}"));
        }
        let now = monotonic(self.now);
        let pump = self.tasks.get_mut(&id).and_then(|task| task.pump.as_mut());
        match pump.and_then(|pump| pump.imported(ticket, result, now)) {
            Some(end) => self.end_stream(id, end),
            None => self.work(id),
        }
    }

    pub(crate) fn on_wish(&mut self, id: u64) -> Outcome {
        let now = monotonic(self.now);
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        if task.pending.is_some() {
            // What was begun is finished first.
            self.after(5, Event::Wish { task: id });
            return Ok(());
        }
        let wish = task.mailbox.wish();
        if !task.running {
            if wish == Wish::Run {
                return Ok(());
            }
            if task.before.is_some() {
                // It goes on waiting: whoever took over from it waits for it, and so for the one before as well.
                self.after(20, Event::Wish { task: id });
                return Ok(());
            }
            return self.give_up(id);
        }
        match task.pump.as_mut().and_then(|pump| pump.obey(&wish, now)) {
            Some(end) => self.end_stream(id, end),
            None => self.work(id),
        }
    }

    pub(crate) fn on_feed(&mut self, id: u64) -> Outcome {
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        if task.pending.is_some() {
            self.after(5, Event::Feed { task: id });
            return Ok(());
        }
        task.hearing = false;
        let now = monotonic(self.now);
        let changes = std::mem::take(&mut task.heard);
        let cluster = task.cluster;
        if !task.running {
            return self.reconsider(id, &changes);
        }
        let lagging = self.random.chance(3);
        let snapshot = &self.clusters[cluster].snapshot;
        let pump = self.tasks.get_mut(&id).and_then(|task| task.pump.as_mut());
        let end = pump.and_then(|pump| {
            if lagging {
                pump.reload(snapshot)
            } else {
                pump.committed(&changes, snapshot.revision(), snapshot, now)
            }
        });
        match end {
            Some(end) => self.end_stream(id, end),
            None => self.work(id),
        }
    }

    /// Takes a frame that reached a task.
    pub(crate) fn receive(&mut self, id: u64, frame: Frame) -> Outcome {
        let now = monotonic(self.now);
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        if !task.running {
            return self.answered(id, frame);
        }
        let Some(pump) = task.pump.as_mut() else {
            return Ok(());
        };
        match frame {
            Frame::Message(bytes) => {
                let message = from_bytes(&bytes)
                    .map_err(|problem| Violation::new("what is sent can be read", problem))?;
                if let Some(task) = self.tasks.get_mut(&id)
                    && let Some(pump) = task.pump.as_mut()
                {
                    pump.received(message, now);
                }
                self.work(id)
            }
            Frame::Headers => Ok(()),
            Frame::End => {
                pump.ended();
                self.work(id)
            }
            Frame::Status(refusal) => {
                let end = pump.broken(refusal);
                self.end_stream(id, end)
            }
            Frame::Closed => {
                let end = pump.broken(Refusal::new(Code::Unavailable, "the connection broke"));
                self.end_stream(id, end)
            }
        }
    }

    /// Sabotage: the cluster believes to have stored what it has not.
    fn believe(&mut self, cluster: usize, transaction: &Transaction) -> Result<(), Refusal> {
        let here = &mut self.clusters[cluster];
        let revision = here.snapshot.revision();
        let mut believed = here.believes().clone();
        let applied = peerway_state::apply(&mut believed, transaction, revision);
        here.believed = Some(believed);
        match applied {
            Ok(_) => Ok(()),
            Err(refused) => Err(Refusal::new(Code::Unavailable, refused.to_string())),
        }
    }

    /// Sabotage: what lists after a reconnect say of services that are gone is not done.
    fn drop_removal(&mut self, id: u64, resource: &Resource) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let connection = task
            .connection
            .and_then(|number| self.connections.get_mut(&number));
        if let (Resource::ExportedServiceList(_), Some(connection)) = (resource, connection)
            && connection.again
            && let Some(Pending {
                transaction: Ok(transaction),
                ..
            }) = &mut task.pending
        {
            transaction
                .ops
                .retain(|op| !matches!(op, peerway_state::Op::Delete(_)));
        }
    }

    /// The stream of a task is over: a dialer tries again, an acceptor's task is gone.
    pub(crate) fn end_stream(&mut self, id: u64, end: End) -> Outcome {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let (cluster, other, key, generation) = (task.cluster, task.other, task.key.clone(), task.generation);
        let accepted = task.dialing.is_none();
        task.running = false;
        task.pump = None;
        task.pending = None;
        task.closed_sending = false;
        task.ticking = None;
        let connection = task.connection;
        let reason = match &end {
            End::Graceful => "gracefully".to_owned(),
            End::Failed(refusal) => refusal.message.clone(),
        };
        self.say(format!(
            "c{cluster} ends its stream with c{other} (task {id}): {reason}"
        ));
        let wall = self.clusters[cluster].wall(now);
        self.clusters[cluster]
            .table
            .disconnected(&key, generation, &end, wall);
        if accepted {
            let last = match &end {
                End::Graceful => Frame::End,
                End::Failed(refusal) => Frame::Status(refusal.clone()),
            };
            self.send(id, last);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.connection = None;
        }
        if let Some(connection) = connection {
            self.hang_up(connection, if accepted { ACCEPTOR } else { DIALER });
        }
        if accepted {
            return self.give_up(id);
        }
        self.redial(id, &end)
    }

    /// A task is gone for good.
    pub(crate) fn give_up(&mut self, id: u64) -> Outcome {
        let Some(task) = self.tasks.remove(&id) else {
            return Ok(());
        };
        task.mailbox.leave();
        if let Some(connection) = task.connection {
            self.hang_up(connection, if task.dialing.is_some() { DIALER } else { ACCEPTOR });
        }
        self.clusters[task.cluster]
            .table
            .ended(&task.key, task.generation);
        self.wake(task.cluster);
        let after: Vec<u64> = self
            .tasks
            .values()
            .filter(|other| other.cluster == task.cluster && other.before.is_some())
            .map(|other| other.id)
            .collect();
        for id in after {
            self.proceed(id)?;
        }
        Ok(())
    }
}

/// An import writes rows of its own peer only, its bundle, its record and its grants.
fn check_touches_only(transaction: &Transaction, key: &PeeringKey) -> Outcome {
    let origin = Origin::Peer(key.name.clone());
    for op in &transaction.ops {
        let row = match op {
            peerway_state::Op::Put(row) => row.key(),
            peerway_state::Op::Delete(row) => row.clone(),
            peerway_state::Op::ForgetImports(peering) => RowKey::Bundle(peering.clone()),
            // What operators did.
            peerway_state::Op::Record(_) => RowKey::Audit(0),
        };
        let own = match &row {
            // Its trust bundle proves whom the token is for.
            RowKey::Peering(own) | RowKey::Bundle(own) | RowKey::Grants(own) => own == key,
            RowKey::Node(node) => node.origin == origin,
            RowKey::Instance(instance) => instance.node.origin == origin,
            RowKey::Check(check) => check.node.origin == origin,
            RowKey::VirtualAddress(service) => service.origin == origin,
            RowKey::Roots | RowKey::CaKey(_) | RowKey::Config(_) | RowKey::Secrets(_) | RowKey::Audit(_) => {
                false
            }
        };
        if !own {
            let text = format!("an import from {} writes {row:?}", key.name);
            return Err(Violation::new("other rows are not touched", text));
        }
    }
    Ok(())
}
