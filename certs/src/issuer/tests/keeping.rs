//! What is kept, for how long, and what is renewed first; without the background task.

use super::*;

/// A server whose background task has ended.
async fn resting() -> Server {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    assert!(server.tasks.shutdown(HOUR).await.is_clean());
    server
}

#[tokio::test(start_paused = true)]
async fn unused_identities_are_forgotten_after_a_while_and_never_renewed() {
    let server = resting().await;
    let (certs, web) = (&server.certs, server.service("web"));
    let first = held(&certs.leaf(&web));
    server.clock.advance(IDLE_KEPT - TICK);
    assert!(certs.keep.due().is_empty());
    let found = held(&certs.leaf(&web));
    assert!(Arc::ptr_eq(&first, &found), "a reconnect finds the same leaf");
    server.clock.advance(IDLE_KEPT);
    assert!(certs.keep.due().is_empty());
    let other = held(&certs.leaf(&web));
    assert!(!Arc::ptr_eq(&first, &other), "it was forgotten");

    let stale = certs.issue_now(&web).unwrap();
    server.clock.set(UnixMillis(stale.not_after - 1));
    assert!(certs.keep.due().is_empty(), "nobody follows it");
    let new = certs.issue_now(&web).unwrap();
    assert_ne!(new.serial, stale.serial, "but whoever asks gets a new one");
}

#[tokio::test(start_paused = true)]
async fn followed_identities_are_kept_however_long() {
    let server = resting().await;
    let web = server.service("web");
    let followed = server.certs.leaf(&web);
    for _ in 0..3 {
        server.clock.advance(IDLE_KEPT * 2);
        assert!(server.certs.keep.due().is_empty());
    }
    let leaf = held(&followed);
    drop(followed);
    server.clock.advance(IDLE_KEPT - TICK);
    assert!(server.certs.keep.due().is_empty());
    let found = server.certs.issue_now(&web).unwrap();
    assert!(
        Arc::ptr_eq(&leaf, &found),
        "the wait begins when it was last followed"
    );
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_so_many_and_unused_ones_make_way() {
    let server = resting().await;
    let authority = server.certs.keep.authority();
    let keep = Keep::new(server.clock.clone(), Settings::default(), authority).with_limit(2);
    let (one, _) = keep.follow(&(&server.service("one")).into());
    keep.current(&(&server.service("unused")).into()).unwrap();
    let (two, failure) = keep.follow(&(&server.service("two")).into());
    assert!(failure.is_none(), "the unused one made way");

    let (three, failure) = keep.follow(&(&server.service("three")).into());
    assert_eq!(failure.unwrap().kind, FailureKind::Unavailable);
    assert!(three.borrow().is_none() && three.has_changed().is_err(), "closed");
    let failure = keep.current(&(&server.service("three")).into()).unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("2 identities are in use"), "{text}");
    assert!(keep.current(&(&server.service("one")).into()).is_ok());

    drop(two);
    assert!(keep.current(&(&server.service("three")).into()).is_ok());
    assert!(keep.current(&(&server.service("one")).into()).is_ok());
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn the_first_to_expire_is_renewed_first() {
    let server = resting().await;
    let early = server.certs.leaf(&server.service("early"));
    server.clock.advance(HOUR);
    let late = server.certs.leaf(&server.service("late"));
    server.clock.advance(DEFAULT_LEAF_TTL);
    let expected = [&server.service("early"), &server.service("late")].map(Bearer::from);
    assert_eq!(server.certs.keep.due(), expected);
    drop((early, late));
}

#[tokio::test(start_paused = true)]
async fn so_many_are_renewed_in_one_tick() {
    let server = resting().await;
    let followed: Vec<_> = (0..=MAX_LEAVES_PER_TICK)
        .map(|number| server.certs.leaf(&server.service(&format!("s{number}"))))
        .collect();
    server.clock.advance(DEFAULT_LEAF_TTL);
    assert_eq!(server.certs.keep.due().len(), MAX_LEAVES_PER_TICK);
    renew(&server.certs.keep).await;
    assert_eq!(server.certs.keep.due().len(), 1);
    drop(followed);
}

/// A clock on which every look takes a while.
#[derive(Debug)]
struct Slow {
    clock: Arc<ManualClock>,
    look: Duration,
}

impl Clock for Slow {
    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.advance(self.look);
        self.clock.monotonic()
    }
}

#[tokio::test(start_paused = true)]
async fn issuing_that_takes_long_leaves_the_rest_for_the_next_tick() {
    let server = resting().await;
    let slow = Arc::new(Slow {
        clock: server.clock.clone(),
        look: MAX_TIME_PER_TICK / 4,
    });
    let keep = Keep::new(slow, Settings::default(), server.certs.keep.authority());
    let followed: Vec<_> = (0..10)
        .map(|number| keep.follow(&(&server.service(&format!("s{number}"))).into()))
        .collect();
    server.clock.advance(DEFAULT_LEAF_TTL);
    let due = keep.due().len();
    assert_eq!(due, followed.len());
    renew(&keep).await;
    let left = keep.due().len();
    assert!(0 < left && left < due, "{left} of {due} are left");
    renew(&keep).await;
    assert!(keep.due().len() < left);
}

#[tokio::test(start_paused = true)]
async fn an_expired_root_fails_and_rests_before_the_next_try() {
    let server = resting().await;
    let web = server.service("web");
    server.clock.set(UnixMillis(server.root().not_after));
    let followed = server.certs.leaf(&web);
    assert!(followed.borrow().is_none());
    assert!(followed.has_changed().is_ok(), "open, without a leaf");
    let failure = server.certs.issue_now(&web).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);

    assert!(server.certs.keep.due().is_empty(), "it rests");
    server.clock.advance(RETRY);
    assert_eq!(server.certs.keep.due(), [Bearer::from(&web)]);
    assert!(server.certs.keep.renew(&(&web).into()).is_err());
    assert!(server.certs.keep.due().is_empty(), "it rests again");

    server.clock.set(NOW);
    server.clock.advance(RETRY);
    renew(&server.certs.keep).await;
    assert_eq!(held(&followed).identity, web);
}
