//! How streams come about: dialling, the journey of frames, and what an acceptor does with an `Open`.

use crate::cluster::resolve;
use crate::event::Event;
use crate::network::{ACCEPTOR, Connection, DIALER, Frame};
use crate::task::{Dialing, monotonic};
use crate::world::{Outcome, World, broken};
use crate::{Violation, rows};
use peerway_model::PeeringKey;
use peerway_peering_link::parts::{
    self, Admitted, Handle, Plan, Pump, Redial, Wanted, Wish, concerns, from_bytes, to_bytes,
};
use peerway_peering_link::{CONNECT_TIMEOUT, STREAM_TIMEOUT};
use peerway_peering_protocol::open::expect_open;
use peerway_peering_protocol::{Code, End, Message, Open, Refusal};
use peerway_state::ChangeSet;
use std::time::Duration;

/// Longest time until a keepalive notices a dead connection: its interval and the time for an answer.
const KEEPALIVE: u64 = 40_000;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl World {
    /// Makes what runs at a cluster equal to what its records say.
    pub(crate) fn reconcile(&mut self, cluster: usize) -> Outcome {
        self.clusters[cluster].reconciling = false;
        for other in 0..self.clusters.len() {
            let key = rows::peering(other).map_err(|invalid| broken(&invalid))?;
            let here = &mut self.clusters[cluster];
            let Some(peering) = here.snapshot.peering(&key) else {
                continue;
            };
            match parts::wanted(&here.snapshot, peering) {
                Wanted::Removal if here.table.tell(&key, Wish::Terminate) => {}
                Wanted::Removal => {
                    if let Some(transaction) = parts::removal(&here.snapshot, &key) {
                        self.say(format!("c{cluster} removes the record of c{other}"));
                        self.commit(cluster, &transaction)?;
                    }
                }
                Wanted::Dialer if !here.table.has_task(&key) => {
                    let dialing = Dialing {
                        redial: Redial::default(),
                        plan: None,
                        started: self.now,
                        attempt: 0,
                        waiting: false,
                    };
                    let task = self.start_task(cluster, &key, other, Some(dialing));
                    self.dial(task)?;
                }
                Wanted::Dialer | Wanted::AsIs => {}
            }
        }
        let here = &mut self.clusters[cluster];
        here.table.retire(&here.snapshot);
        self.deliver_wishes(cluster);
        Ok(())
    }

    /// Goes on after the task before is gone.
    pub(crate) fn proceed(&mut self, id: u64) -> Outcome {
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        if task.before.as_ref().is_some_and(|before| !before.is_gone()) {
            return Ok(());
        }
        task.before = None;
        if task.dialing.is_some() {
            self.dial(id)
        } else {
            self.serve(id)
        }
    }

    /// One attempt of a dialer.
    pub(crate) fn dial(&mut self, id: u64) -> Outcome {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        if task.before.as_ref().is_some_and(|before| !before.is_gone()) {
            return Ok(());
        }
        let cluster = task.cluster;
        let plan = Plan::of(&self.clusters[cluster].snapshot, &task.key);
        let (Some(plan), Some(dialing)) = (plan, task.dialing.as_mut()) else {
            return self.give_up(id);
        };
        dialing.started = now;
        dialing.waiting = false;
        dialing.attempt += 1;
        let attempt = dialing.attempt;
        let target = dialing.redial.address(&plan).and_then(resolve);
        let open = plan.open();
        dialing.plan = Some(plan);
        let Some((acceptor, server)) = target else {
            return self.redial(id, &unavailable("there is no address to dial"));
        };
        let here = &self.clusters[cluster];
        let setup = here.setup(here.table.before(&task.key));
        task.pump = Some(Pump::dialer(task.key.clone(), open, &setup, monotonic(now)));
        if acceptor >= self.clusters.len() || !self.clusters[acceptor].up {
            let delay = self.random.within(1, 50);
            self.after(delay, Event::Unreachable { task: id, attempt });
            return Ok(());
        }
        let until = self.blocked_until(cluster, acceptor);
        if until > 0 {
            let delay = millis(CONNECT_TIMEOUT);
            self.after(delay, Event::Unreachable { task: id, attempt });
            return Ok(());
        }
        let number = self.number();
        let mut connection = Connection::new([cluster, acceptor], server);
        connection.tasks[DIALER] = Some(id);
        if self.faults {
            for end in [DIALER, ACCEPTOR] {
                if self.random.chance(10) {
                    connection.slow[end] = self.random.within(50, 1500);
                }
            }
        }
        let met = self.met.entry((cluster, acceptor)).or_default();
        connection.again = *met > 0;
        *met += 1;
        self.connections.insert(number, connection);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.connection = Some(number);
        }
        self.first_flight(id, number);
        self.after(
            millis(STREAM_TIMEOUT),
            Event::Unanswered {
                task: id,
                connection: number,
            },
        );
        Ok(())
    }

    /// Sends what a dialer says before it hears anything; now and then the network delivers all of it once more,
    /// late, as an attempt behind which nobody is.
    fn first_flight(&mut self, id: u64, connection: u64) {
        let mut flight = Vec::new();
        if let Some(pump) = self.tasks.get_mut(&id).and_then(|task| task.pump.as_mut()) {
            while let Some(message) = pump.take() {
                flight.push(Frame::Message(to_bytes(&message)));
            }
        }
        if self.faults && self.random.chance(8) {
            let of = self.connections.get(&connection);
            let ghost = of.map(|of| Connection::new(of.clusters, of.server));
            if let Some(mut ghost) = ghost {
                self.counts.repeated += 1;
                let number = self.number();
                ghost.attends[DIALER] = false;
                let late = self.now + self.random.within(10, 40_000);
                for frame in &flight {
                    ghost.push(ACCEPTOR, late, frame.clone());
                }
                self.connections.insert(number, ghost);
                self.schedule_delivery(number, ACCEPTOR);
                if self.random.chance(50) {
                    let delay = late - self.now + KEEPALIVE;
                    self.after(
                        delay,
                        Event::Keepalive {
                            connection: number,
                            end: ACCEPTOR,
                        },
                    );
                }
            }
        }
        for frame in flight {
            self.transmit(connection, ACCEPTOR, frame);
        }
    }

    /// Puts a frame on its way to an end of a connection.
    pub(crate) fn transmit(&mut self, number: u64, end: usize, frame: Frame) {
        let latency = self.random.within(1, 30);
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        if !connection.attends[end] {
            // Into the void. The sender's window never empties.
            connection.push(end, u64::MAX, frame);
            return;
        }
        connection.push(end, self.now + latency, frame);
        self.schedule_delivery(number, end);
    }

    /// Schedules the next delivery towards an end, if there is one to come.
    pub(crate) fn schedule_delivery(&mut self, number: u64, end: usize) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let Some((at, _)) = connection.towards[end].front() else {
            return;
        };
        if *at == u64::MAX || std::mem::replace(&mut connection.scheduled[end], true) {
            return;
        }
        let delay = at.saturating_sub(now) + connection.slow[end];
        self.after(
            delay,
            Event::Deliver {
                connection: number,
                end,
            },
        );
    }

    /// Takes the first frame towards an end.
    pub(crate) fn deliver(&mut self, number: u64, end: usize) -> Outcome {
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        let [dialer, acceptor] = connection.clusters;
        connection.scheduled[end] = false;
        if !connection.attends[end] {
            return Ok(());
        }
        let until = self.blocked_until(dialer, acceptor);
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        if until > 0 {
            connection.scheduled[end] = true;
            let delay = until - self.now + 1;
            self.after(
                delay,
                Event::Deliver {
                    connection: number,
                    end,
                },
            );
            return Ok(());
        }
        let receiver = connection.tasks[end];
        if let Some(ready) = receiver.and_then(|task| self.reads_at(task)) {
            let Some(connection) = self.connections.get_mut(&number) else {
                return Ok(());
            };
            connection.scheduled[end] = true;
            self.after(
                ready - self.now,
                Event::Deliver {
                    connection: number,
                    end,
                },
            );
            return Ok(());
        }
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        if let Some(task) = receiver.and_then(|task| self.tasks.get(&task)) {
            let waits = task.pending.is_some() || task.before.is_some();
            if waits {
                // It takes the frame when it is done; see World::schedule.
                return Ok(());
            }
        }
        let Some((_, frame)) = connection.towards[end].pop_front() else {
            return Ok(());
        };
        let sender = connection.tasks[1 - end];
        match receiver {
            Some(task) => self.receive(task, frame)?,
            None if end == ACCEPTOR => self.accept(number, frame)?,
            None => {}
        }
        self.schedule_delivery(number, end);
        // There is room again.
        match sender {
            Some(sender) => self.work(sender),
            None => Ok(()),
        }
    }

    /// When a task reads its next message, if that is not now: its peer may be faster than it may be.
    fn reads_at(&mut self, id: u64) -> Option<u64> {
        let now = monotonic(self.now);
        let task = self.tasks.get_mut(&id).filter(|task| task.running)?;
        let ready = task.pump.as_mut()?.reads_at(now)?;
        Some(millis(ready).max(self.now + 1))
    }

    /// The first frame of a connection reached the acceptor.
    fn accept(&mut self, number: u64, frame: Frame) -> Outcome {
        let Some(connection) = self.connections.get(&number) else {
            return Ok(());
        };
        let ([dialer, cluster], server) = (connection.clusters, connection.server);
        let Frame::Message(bytes) = frame else {
            self.hang_up(number, ACCEPTOR);
            return Ok(());
        };
        let message =
            from_bytes(&bytes).map_err(|problem| Violation::new("what is sent can be read", problem))?;
        let open = expect_open(Some(message)).map_err(|refusal| broken(&refusal))?;
        if self.clusters[cluster].leader != server {
            return self.refuse(
                number,
                Refusal::new(Code::FailedPrecondition, "another server leads"),
            );
        }
        match self.admit(cluster, &open)? {
            Ok(Admitted::Serve(key)) => {
                let peer_id = open.peer_id.clone();
                self.say(format!("c{cluster} accepts a stream of c{dialer}"));
                let task = self.start_task(cluster, &key, dialer, None);
                let here = &self.clusters[cluster];
                let setup = here.setup(here.table.before(&key));
                let now = monotonic(self.now);
                if let Some(entry) = self.tasks.get_mut(&task) {
                    entry.connection = Some(number);
                    entry.pump = Some(Pump::acceptor(key, peer_id, &setup, now));
                }
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.tasks[ACCEPTOR] = Some(task);
                }
                self.transmit(number, DIALER, Frame::Headers);
                self.serve(task)
            }
            Ok(Admitted::Tell(refusal)) => {
                self.transmit(number, DIALER, Frame::Headers);
                self.transmit(number, DIALER, Frame::Message(to_bytes(&Message::Terminated)));
                self.refuse(number, refusal)
            }
            Err(refusal) => self.refuse(number, refusal),
        }
    }

    fn refuse(&mut self, number: u64, refusal: Refusal) -> Outcome {
        self.transmit(number, DIALER, Frame::Status(refusal));
        self.hang_up(number, ACCEPTOR);
        Ok(())
    }

    fn admit(&mut self, cluster: usize, open: &Open) -> Outcome<Result<Admitted, Refusal>> {
        let secret = open.stream_secret.expose();
        let said = &open.remote.datacenter;
        let allowed = self.introductions.may_open(&open.peer_id, secret, said);
        let occasion = self.occasion(cluster);
        let (transaction, admitted) = parts::admit(&self.clusters[cluster].snapshot, open, &occasion);
        if let Some(transaction) = transaction
            && !self.commit(cluster, &transaction)?
        {
            return Ok(Err(Refusal::new(Code::Internal, "the peering keeps changing")));
        }
        match &admitted {
            Ok(Admitted::Serve(_)) if !allowed => Err(Violation::new(
                "secrets as the facts say",
                format!("c{cluster} accepted a stream with a secret that is not good"),
            )),
            Err(refusal) if allowed && refusal.code == Code::PermissionDenied => Err(Violation::new(
                "secrets as the facts say",
                format!("c{cluster} refused a stream with a good secret"),
            )),
            Ok(Admitted::Serve(_)) => {
                self.introductions.opened(&open.peer_id, secret);
                Ok(admitted)
            }
            _ => Ok(admitted),
        }
    }

    /// An end of a connection is closed by its owner; the other end learns of it after what is on its way.
    pub(crate) fn hang_up(&mut self, number: u64, end: usize) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.attends[end] = false;
        connection.towards[end].clear();
        connection.tasks[end] = None;
        if connection.attends == [false, false] {
            self.connections.remove(&number);
        } else if self.faults && self.random.chance(10) {
            // Half-open: the other end hears nothing until a keepalive or the heartbeats tell.
            self.say(format!("the close of connection {number} is lost"));
            if self.random.chance(60) {
                let delay = self.random.within(10_000, KEEPALIVE);
                let end = 1 - end;
                self.after(
                    delay,
                    Event::Keepalive {
                        connection: number,
                        end,
                    },
                );
            }
        } else {
            self.transmit(number, 1 - end, Frame::Closed);
        }
    }

    /// A keepalive found out that nobody is at the other end.
    pub(crate) fn on_keepalive(&mut self, number: u64, end: usize) -> Outcome {
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        let task = connection.tasks[end];
        let busy = task
            .and_then(|task| self.tasks.get(&task))
            .is_some_and(|task| task.pending.is_some() || task.before.is_some());
        if busy {
            self.after(
                50,
                Event::Keepalive {
                    connection: number,
                    end,
                },
            );
            return Ok(());
        }
        match task {
            Some(task) => self.receive(task, Frame::Closed),
            None => {
                self.hang_up(number, end);
                Ok(())
            }
        }
    }

    /// A dialer that is not connected yet hears from the acceptor.
    pub(crate) fn answered(&mut self, id: u64, frame: Frame) -> Outcome {
        match frame {
            Frame::Headers => self.serve(id),
            Frame::Status(refusal) => self.end_attempt(id, End::Failed(refusal)),
            Frame::End | Frame::Closed => self.end_attempt(id, unavailable("the connection broke")),
            Frame::Message(_) => Ok(()),
        }
    }

    fn end_attempt(&mut self, id: u64, end: End) -> Outcome {
        if self.tasks.get(&id).is_some_and(|task| task.dialing.is_some()) {
            self.end_stream(id, end)
        } else {
            self.give_up(id)
        }
    }

    pub(crate) fn unreachable(&mut self, id: u64, attempt: u64) -> Outcome {
        let dialing = self.tasks.get(&id).and_then(|task| task.dialing.as_ref());
        if dialing.is_some_and(|dialing| dialing.attempt == attempt && !dialing.waiting) {
            return self.end_attempt(id, unavailable("nobody is there"));
        }
        Ok(())
    }

    pub(crate) fn unanswered(&mut self, id: u64, connection: u64) -> Outcome {
        let task = self.tasks.get(&id);
        if task.is_some_and(|task| task.connection == Some(connection) && !task.running) {
            return self.end_attempt(id, unavailable("the acceptor did not answer"));
        }
        Ok(())
    }

    /// A dialer waits before its next attempt, or is done.
    pub(crate) fn redial(&mut self, id: u64, end: &End) -> Outcome {
        let now = self.now;
        let jitter = self.random.below(1000) as f64 / 1000.0;
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let wish = task.mailbox.wish();
        let Some(dialing) = task.dialing.as_mut() else {
            return Ok(());
        };
        let lived = Duration::from_millis(now - dialing.started);
        let pause = dialing.redial.after(end, lived, jitter);
        let Some(pause) = pause.filter(|_| wish == Wish::Run) else {
            return self.give_up(id);
        };
        dialing.waiting = true;
        let attempt = dialing.attempt;
        self.after(millis(pause), Event::Dial { task: id, attempt });
        self.reconsider_now(id)
    }

    pub(crate) fn on_dial(&mut self, id: u64, attempt: u64) -> Outcome {
        let dialing = self.tasks.get(&id).and_then(|task| task.dialing.as_ref());
        if dialing.is_some_and(|dialing| dialing.attempt == attempt && dialing.waiting) {
            return self.dial(id);
        }
        Ok(())
    }

    /// A dialer that waits hears of commits.
    pub(crate) fn reconsider(&mut self, id: u64, changes: &ChangeSet) -> Outcome {
        let task = self.tasks.get(&id);
        if task.is_some_and(|task| concerns(changes, &task.key)) {
            return self.reconsider_now(id);
        }
        Ok(())
    }

    fn reconsider_now(&mut self, id: u64) -> Outcome {
        let Some(task) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let key: PeeringKey = task.key.clone();
        let snapshot = &self.clusters[task.cluster].snapshot;
        let Some(dialing) = task.dialing.as_mut().filter(|dialing| dialing.waiting) else {
            return Ok(());
        };
        let Some(tried) = dialing.plan.as_ref() else {
            return Ok(());
        };
        if dialing.redial.is_cured(tried, snapshot, &key) {
            return self.dial(id);
        }
        Ok(())
    }
}

fn unavailable(message: &str) -> End {
    End::Failed(Refusal::new(Code::Unavailable, message))
}
