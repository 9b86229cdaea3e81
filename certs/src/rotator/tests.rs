//! Rotations over a store in memory, on a clock held by hand.

use super::*;
use crate::brought::tests::made::Recipe;
use crate::{SETTLE, Settings};
use parking_lot::Mutex;
use peerway_model::{CaRoot, Datacenter, RootKey, SpiffeId, WitnessKind};
use peerway_runtime::{Drain, ManualClock};
use peerway_store::{MemoryStorage, Store, open};

const NOW: UnixMillis = UnixMillis(1_750_000_000_000);
/// On the clock of tokio, which is paused, so that ticks pass at once.
const LONG: Duration = Duration::from_secs(600);
/// What the writer of the store is given each time, of real time.
const WRITING: Duration = Duration::from_millis(5);
/// Looks until a phase has to be reached, a minute of real time.
const MOST_LOOKS: usize = 12_000;

/// One proxy and one peer whose answers a test gives.
#[derive(Default)]
struct Told {
    trusts: Mutex<bool>,
    renewed: Mutex<bool>,
}

impl Witnesses for Told {
    fn witnesses(&self, _: &CaRoots, _: &Rotation) -> Vec<Witness> {
        let said = |yes: bool| if yes { Ok(()) } else { Err("not yet".to_owned()) };
        let witness = |kind, name: &str, renewed| Witness {
            kind,
            name: name.to_owned(),
            id: name.to_owned(),
            trusts: said(*self.trusts.lock()),
            renewed,
            loses: "",
        };
        vec![
            witness(WitnessKind::Proxy, "web", said(*self.renewed.lock())),
            witness(WitnessKind::Peer, "west", Ok(())),
        ]
    }
}

struct Server {
    storage: MemoryStorage,
    store: Store,
    clock: Arc<ManualClock>,
    tasks: Tasks,
    certs: Certs,
    told: Arc<Told>,
    rotator: Rotator,
}

async fn start(storage: MemoryStorage, clock: Arc<ManualClock>, told: Arc<Told>) -> Server {
    let store = open(storage.clone()).unwrap();
    let tasks = Tasks::new(Drain::new().0);
    let (writer, reader) = (&store.writer, &store.reader);
    let dc = Datacenter::new("dc1").unwrap();
    let certs = Certs::start(
        writer,
        reader,
        clock.clone(),
        &dc,
        Settings::default(),
        None,
        &tasks,
    )
    .await
    .unwrap();
    let rotator = Rotator::start(
        certs.clone(),
        writer.clone(),
        reader.clone(),
        clock.clone(),
        told.clone(),
        &tasks,
    );
    Server {
        storage,
        store,
        clock,
        tasks,
        certs,
        told,
        rotator,
    }
}

async fn first() -> Server {
    start(
        MemoryStorage::default(),
        Arc::new(ManualClock::new(NOW)),
        Arc::default(),
    )
    .await
}

impl Server {
    /// Ends this server and starts another one over what it has stored.
    async fn restart(self) -> Server {
        let Server {
            storage,
            store,
            clock,
            tasks,
            certs,
            told,
            rotator,
        } = self;
        assert!(tasks.shutdown(LONG).await.aborted.is_empty());
        drop((certs, rotator, tasks));
        store.close();
        start(storage, clock, told).await
    }

    fn roots(&self) -> Vec<CaRoot> {
        self.store.reader.snapshot().roots().unwrap().roots.clone()
    }

    fn phase(&self) -> Option<RotationPhase> {
        let snapshot = self.store.reader.snapshot();
        let rotation = snapshot.roots().unwrap().rotation.as_ref();
        rotation.map(|rotation| rotation.phase)
    }

    async fn reaches(&self, phase: Option<RotationPhase>) {
        for _ in 0..MOST_LOOKS {
            if self.phase() == phase {
                return;
            }
            look().await;
        }
        panic!("{phase:?} was not reached, it is {:?}", self.phase());
    }

    /// Lets everything that is due happen.
    async fn looks(&self) {
        for _ in 0..4 {
            look().await;
        }
    }
}

/// Lets the rotator look once. The writer of the store is a thread of its own, and time that is paused jumps ahead
/// without waiting for it; while something blocks it stands still, and what the writer answers is taken.
async fn look() {
    tokio::time::sleep(LOOK).await;
    tokio::task::spawn_blocking(|| std::thread::sleep(WRITING))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rotation_survives_a_restart_in_each_phase() {
    let server = first().await;
    let old = server.roots()[0].clone();
    let web = SpiffeId::parse(&format!(
        "spiffe://{}/ns/default/dc/dc1/svc/web",
        server.certs.trust_domain()
    ))
    .unwrap();
    server.rotator.begin(NewRoot::Made(RootKey::P384)).await.unwrap();
    let server = server.restart().await;
    server.looks().await;
    assert_eq!(server.phase(), Some(RotationPhase::Announced));
    let roots = server.roots();
    assert_eq!(roots.len(), 2);
    let new = roots[1].clone();
    assert!(roots[0].active && !new.active);
    assert_eq!(key_of(&new), Some(RootKey::P384));
    assert_ne!(old.name, new.name);
    assert_eq!(server.certs.issue_now(&web).unwrap().root_id, old.id);
    assert_eq!(server.rotator.status().unwrap().missing.len(), 2);

    *server.told.trusts.lock() = true;
    server.reaches(Some(RotationPhase::Confirmed)).await;
    let server = server.restart().await;
    server.looks().await;
    assert_eq!(
        server.phase(),
        Some(RotationPhase::Confirmed),
        "the time is not up"
    );

    server.clock.advance(SETTLE);
    server.reaches(Some(RotationPhase::Switched)).await;
    let server = server.restart().await;
    server.looks().await;
    assert_eq!(server.phase(), Some(RotationPhase::Switched));
    let status = server.rotator.status().unwrap();
    assert_eq!((status.active_root, status.missing.len()), (new.id.clone(), 1));
    let leaf = server.certs.issue_now(&web).unwrap();
    assert_eq!(leaf.root_id, new.id);

    *server.told.renewed.lock() = true;
    server.reaches(Some(RotationPhase::Replaced)).await;
    let server = server.restart().await;
    server.looks().await;
    assert_eq!(
        server.phase(),
        Some(RotationPhase::Replaced),
        "the time is not up"
    );
    server.clock.advance(SETTLE);
    server.reaches(None).await;
    assert_eq!(server.roots().len(), 1);
    assert_eq!(server.roots()[0].id, new.id);
    let snapshot = server.store.reader.snapshot();
    assert!(snapshot.ca_key(&old.id).is_none(), "the old key is destroyed");

    let server = server.restart().await;
    assert_eq!(server.certs.issue_now(&web).unwrap().root_id, new.id);
    server.rotator.begin(NewRoot::Made(RootKey::P256)).await.unwrap();
    assert_eq!(server.roots().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn steps_are_forced_one_at_a_time_and_name_who_is_left_behind() {
    let server = first().await;
    let refused = server.rotator.force().await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
    server.rotator.begin(NewRoot::Made(RootKey::P256)).await.unwrap();
    let refused = server
        .rotator
        .begin(NewRoot::Made(RootKey::P256))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
    assert!(refused.message.contains("announced"), "{refused}");
    let left = server.rotator.force().await.unwrap();
    let names: Vec<&str> = left.iter().map(|missing| missing.name.as_str()).collect();
    assert_eq!(names, ["web", "west"]);
    assert_eq!(server.phase(), Some(RotationPhase::Switched));
    server.looks().await;
    assert_eq!(
        server.phase(),
        Some(RotationPhase::Switched),
        "not retired by itself"
    );
    assert_eq!(server.rotator.force().await.unwrap().len(), 2);
    assert_eq!(server.phase(), None);
    assert_eq!(server.roots().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_gone_takes_the_rotation_back() {
    let server = first().await;
    server.rotator.begin(NewRoot::Made(RootKey::P256)).await.unwrap();
    *server.told.trusts.lock() = true;
    server.reaches(Some(RotationPhase::Confirmed)).await;
    *server.told.trusts.lock() = false;
    server.reaches(Some(RotationPhase::Announced)).await;
    // The peer keeps what it stored; the proxy may have lost it.
    let missing = server.rotator.status().unwrap().missing;
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(missing[0].name, "web");
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_nobody_can_see_keeps_the_old_root_until_it_ends() {
    let server = first().await;
    let old = server.roots()[0].id.clone();
    server.rotator.hand_out(&old).await.unwrap();
    let revision = server.store.reader.snapshot().revision();
    server.rotator.hand_out(&old).await.unwrap();
    assert_eq!(
        server.store.reader.snapshot().revision(),
        revision,
        "one write a root"
    );
    server.rotator.begin(NewRoot::Made(RootKey::P256)).await.unwrap();
    *server.told.trusts.lock() = true;
    *server.told.renewed.lock() = true;
    server.reaches(Some(RotationPhase::Confirmed)).await;
    server.clock.advance(SETTLE);
    server.reaches(Some(RotationPhase::Switched)).await;
    server.looks().await;
    assert_eq!(server.phase(), Some(RotationPhase::Switched));
    assert!(
        server.rotator.status().unwrap().missing[0]
            .name
            .contains("HTTP API")
    );
    server.clock.advance(server.certs.leaf_ttl());
    server.reaches(Some(RotationPhase::Replaced)).await;
}

/// Its proxy and its peer confirm, and it goes to its end.
async fn completes(server: &Server) {
    *server.told.trusts.lock() = true;
    *server.told.renewed.lock() = true;
    server.reaches(Some(RotationPhase::Confirmed)).await;
    server.clock.advance(SETTLE);
    server.reaches(Some(RotationPhase::Switched)).await;
    server.reaches(Some(RotationPhase::Replaced)).await;
    server.clock.advance(SETTLE);
    server.reaches(None).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_rotation_leaves_what_was_before() {
    let server = first().await;
    let refused = server.rotator.cancel().await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
    let before = server.roots();
    for confirmed in [false, true] {
        *server.told.trusts.lock() = confirmed;
        server.rotator.begin(NewRoot::Made(RootKey::P384)).await.unwrap();
        let new = server.roots()[1].id.clone();
        if confirmed {
            server.reaches(Some(RotationPhase::Confirmed)).await;
        }
        let server_key = |id: &str| server.store.reader.snapshot().ca_key(id).is_some();
        assert!(server_key(&new));
        server.rotator.cancel().await.unwrap();
        assert_eq!((server.phase(), server.roots()), (None, before.clone()));
        assert!(!server_key(&new) && server_key(&before[0].id));
        server.clock.advance(SETTLE);
        server.looks().await;
        assert_eq!(server.roots(), before);
    }
    server.rotator.begin(NewRoot::Made(RootKey::P256)).await.unwrap();
    server.reaches(Some(RotationPhase::Confirmed)).await;
    server.clock.advance(SETTLE);
    server.reaches(Some(RotationPhase::Switched)).await;
    let refused = server.rotator.cancel().await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
    assert!(
        refused.message.contains("signs already (phase switched)"),
        "{refused}"
    );
    assert_eq!(server.phase(), Some(RotationPhase::Switched));
}

#[tokio::test(start_paused = true)]
async fn a_brought_root_takes_over_and_bringing_it_again_changes_nothing() {
    let server = first().await;
    let [made, other] = [(); 2].map(|()| Recipe::default().make().brought);
    // The clock of openssl, which made them: they are not valid before.
    server.clock.set(crate::brought::tests::made::now());
    let bring = |brought: &peerway_model::BroughtRoot| NewRoot::Brought(brought.clone());
    let old = server.roots()[0].clone();
    server.rotator.begin(bring(&made)).await.unwrap();
    let roots = server.roots();
    assert_eq!((roots.len(), roots[1].bridges.len()), (2, 1));
    server.rotator.begin(bring(&made)).await.unwrap();
    assert_eq!(server.roots(), roots);
    let refused = server.rotator.begin(bring(&other)).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
    completes(&server).await;
    let after = server.roots();
    assert_eq!(after.len(), 1);
    assert!(after[0].active && after[0].pem == made.certificate && after[0].bridges.len() == 1);
    server.rotator.begin(bring(&made)).await.unwrap();
    assert_eq!((server.phase(), server.roots()), (None, after));

    // Refusals have the names of the request.
    let refused = server.rotator.begin(bring(&other)).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(
        refused
            .message
            .starts_with("Config.RootCert: has the subject of the root"),
        "{refused}"
    );
    let mixed = peerway_model::BroughtRoot {
        certificate: other.certificate,
        key: made.key,
    };
    let refused = server.rotator.begin(bring(&mixed)).await.unwrap_err();
    assert!(
        refused
            .message
            .starts_with("Config.PrivateKey: is not the key of Config.RootCert"),
        "{refused}"
    );
    let refused = server
        .rotator
        .begin(NewRoot::Made(RootKey::Rsa(2048)))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert_eq!(server.phase(), None);

    // And away from it again, to one that is made here.
    *server.told.trusts.lock() = false;
    server.rotator.begin(NewRoot::Made(RootKey::P256)).await.unwrap();
    completes(&server).await;
    let last = server.roots();
    assert_eq!((last.len(), last[0].bridges.len()), (1, 2));
    assert_ne!(last[0].id, old.id);
}

#[tokio::test(start_paused = true)]
async fn an_expired_root_is_replaced_without_its_word() {
    let server = first().await;
    let ends = server.roots()[0].not_after;
    server.clock.set(UnixMillis(ends + 1000));
    server.rotator.begin(NewRoot::Made(RootKey::P256)).await.unwrap();
    assert_eq!(server.roots()[1].bridges, Vec::<String>::new());
    completes(&server).await;
    assert_eq!(server.roots().len(), 1);
}
