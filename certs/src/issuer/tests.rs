//! The running authority over a store in memory, on a clock held by hand.

mod keeping;

use super::*;
use crate::brought::tests::made::{self, GOOD, Recipe};
use crate::generate_root;
use crate::settings::DEFAULT_LEAF_TTL;
use peerway_model::{CaKey, CaRoot, RootKey};
use peerway_runtime::{Clock, Drain, ManualClock, UnixMillis};
use peerway_state::{Expect, Row, RowKey, Transaction};
use peerway_store::{MemoryStorage, Store, open};

const NOW: UnixMillis = UnixMillis(1_750_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// One server.
struct Server {
    store: Store,
    clock: Arc<ManualClock>,
    tasks: Tasks,
    certs: Certs,
}

fn dc(name: &str) -> Datacenter {
    Datacenter::new(name).unwrap()
}

async fn start(storage: MemoryStorage, datacenter: &str) -> Result<Server, StartError> {
    start_with(storage, datacenter, NOW, None).await
}

async fn start_with(
    storage: MemoryStorage,
    datacenter: &str,
    now: UnixMillis,
    brought: Option<&BroughtRoot>,
) -> Result<Server, StartError> {
    let store = open(storage).unwrap();
    let clock = Arc::new(ManualClock::new(now));
    let (trigger, _) = Drain::new();
    let tasks = Tasks::new(trigger);
    let settings = Settings::default();
    let (writer, reader) = (&store.writer, &store.reader);
    let certs = Certs::start(
        writer,
        reader,
        clock.clone(),
        &dc(datacenter),
        settings,
        brought,
        &tasks,
    )
    .await?;
    Ok(Server {
        store,
        clock,
        tasks,
        certs,
    })
}

impl Server {
    fn identity(&self, path: &str) -> SpiffeId {
        let domain = self.certs.trust_domain();
        SpiffeId::parse(&format!("spiffe://{domain}/{path}")).unwrap()
    }

    fn service(&self, name: &str) -> SpiffeId {
        self.identity(&format!("ns/default/dc/dc1/svc/{name}"))
    }

    fn root(&self) -> CaRoot {
        let snapshot = self.store.reader.snapshot();
        snapshot.roots().unwrap().active().unwrap().clone()
    }

    /// Lets a new root sign; the former one stays trusted.
    async fn rotate(&self) -> CaRoot {
        let snapshot = self.store.reader.snapshot();
        let stored = snapshot.roots().unwrap();
        let (root, key): (CaRoot, CaKey) =
            generate_root(&stored.trust_domain, self.clock.now(), RootKey::default()).unwrap();
        let mut roots = (*stored.row).clone();
        for old in &mut roots.roots {
            old.active = false;
        }
        roots.roots.push(root.clone());
        let transaction = Transaction::new()
            .expect(Expect::Modified(RowKey::Roots, stored.modify_index))
            .put(Row::Roots(Arc::new(roots)))
            .put(Row::CaKey(Arc::new(key)));
        self.store.writer.commit(transaction).await.unwrap();
        root
    }
}

fn held(followed: &Followed) -> Arc<Leaf> {
    followed.borrow().clone().unwrap()
}

/// Waits for the next leaf, for an hour on the clock of tokio, which is paused, so that ticks pass at once.
async fn next(followed: &mut Followed) -> Arc<Leaf> {
    tokio::time::timeout(HOUR, followed.changed())
        .await
        .expect("no new leaf came")
        .unwrap();
    held(followed)
}

fn is_signed_by(leaf: &Leaf, root: &CaRoot) -> bool {
    let (_, root) = x509_parser::pem::parse_x509_pem(root.pem.as_bytes()).unwrap();
    let (_, leaf) = x509_parser::pem::parse_x509_pem(leaf.chain_pem.as_bytes()).unwrap();
    let root = root.parse_x509().unwrap();
    leaf.parse_x509()
        .unwrap()
        .verify_signature(Some(root.public_key()))
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn the_first_start_makes_what_later_ones_find() {
    let storage = MemoryStorage::default();
    let first = start(storage.clone(), "dc1").await.unwrap();
    let made = first.store.reader.snapshot();
    let roots = made.roots().unwrap();
    assert_eq!(roots.roots.len(), 1);
    assert_eq!(
        roots.trust_domain.as_str(),
        format!("{}.consul", roots.cluster_id)
    );
    assert_eq!(
        uuid::Uuid::parse_str(&roots.cluster_id)
            .unwrap()
            .get_version_num(),
        4
    );
    assert_eq!(made.revision(), 1, "one transaction");
    assert!(first.tasks.shutdown(HOUR).await.is_clean());
    first.store.close();

    let again = start(storage, "dc1").await.unwrap();
    let found = again.store.reader.snapshot();
    assert_eq!(found.roots().unwrap().row, roots.row);
    assert_eq!(found.revision(), 1, "nothing was written");
    let leaf = again.certs.issue_now(&again.service("web")).unwrap();
    assert!(is_signed_by(&leaf, roots.active().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn servers_that_start_together_agree() {
    let store = open(MemoryStorage::default()).unwrap();
    let datacenter = dc("dc1");
    let one = establish(&store.writer, &store.reader, NOW, &datacenter, None);
    let two = establish(&store.writer, &store.reader, NOW, &datacenter, None);
    let (one, two) = tokio::join!(one, two);
    assert_eq!(
        one.unwrap().roots().unwrap().row,
        two.unwrap().roots().unwrap().row
    );
    assert_eq!(store.reader.snapshot().revision(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_datacenter_is_refused_with_both_names() {
    let storage = MemoryStorage::default();
    let first = start(storage.clone(), "dc1").await.unwrap();
    let _ = first.tasks.shutdown(HOUR).await;
    first.store.close();
    let Err(error) = start(storage, "dc2").await else {
        panic!("it started");
    };
    let text = error.to_string();
    for part in ["\"dc1\"", "\"dc2\"", "set datacenter to", "data_dir"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_the_key_is_refused() {
    let storage = MemoryStorage::default();
    let first = start(storage.clone(), "dc1").await.unwrap();
    let key = RowKey::CaKey(first.root().id);
    first
        .store
        .writer
        .commit(Transaction::new().delete(key))
        .await
        .unwrap();
    let _ = first.tasks.shutdown(HOUR).await;
    first.store.close();
    let error = start(storage, "dc1").await.err().unwrap().to_string();
    assert!(error.contains("no key of the active root"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_leaf_is_there_at_once_and_shared() {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    let web = server.service("web");
    let (one, two) = (server.certs.leaf(&web), server.certs.leaf(&web));
    let leaf = held(&one);
    assert_eq!(leaf.identity, web);
    assert!(Arc::ptr_eq(&leaf, &held(&two)));
    assert!(Arc::ptr_eq(&leaf, &server.certs.issue_now(&web).unwrap()));
    let api = held(&server.certs.leaf(&server.service("api")));
    assert_ne!(api.serial, leaf.serial);
    assert!(!api.key_pem.matches(leaf.key_pem.expose()));

    let certificate = held(&server.certs.server_certificate());
    assert_eq!(certificate.identity, server.identity("agent/server/dc/dc1"));
}

#[tokio::test(start_paused = true)]
async fn foreign_identities_are_refused() {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    let refused = [
        SpiffeId::parse("spiffe://other.consul/ns/default/dc/dc1/svc/web").unwrap(),
        server.identity("ns/default/dc/dc2/svc/web"),
        server.identity("gateway/mesh/dc/dc2"),
        server.identity("agent/server/dc/dc1"),
    ];
    for identity in refused {
        let failure = server.certs.issue_now(&identity).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Denied, "{identity}");
        let mut followed = server.certs.leaf(&identity);
        assert!(followed.borrow().is_none());
        assert!(followed.changed().await.is_err(), "closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaf_is_renewed_between_60_and_90_percent_of_its_life() {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    let mut web = server.certs.leaf(&server.service("web"));
    let mut certificate = server.certs.server_certificate();
    let first = (held(&web), held(&certificate));

    server.clock.advance(DEFAULT_LEAF_TTL.mul_f64(0.59));
    assert!(server.certs.keep.due().is_empty());
    server.clock.advance(DEFAULT_LEAF_TTL.mul_f64(0.32));
    let second = (next(&mut web).await, next(&mut certificate).await);
    for (old, new) in [(&first.0, &second.0), (&first.1, &second.1)] {
        assert_eq!(new.identity, old.identity);
        assert_ne!(new.serial, old.serial);
        assert!(!new.key_pem.matches(old.key_pem.expose()), "a new key");
        assert_eq!(
            new.not_before,
            server.clock.now().before(crate::BACKDATE).as_secs() * 1000
        );
    }
    assert!(server.certs.keep.due().is_empty(), "renewed once");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_put_back_renews() {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    let mut web = server.certs.leaf(&server.service("web"));
    let wrong = held(&web);
    server.clock.set(NOW.before(HOUR));
    let right = next(&mut web).await;
    assert!(right.not_before < wrong.not_before);
}

#[tokio::test(start_paused = true)]
async fn another_active_root_renews_everything() {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    let old_root = server.root();
    let mut web = server.certs.leaf(&server.service("web"));
    let mut certificate = server.certs.server_certificate();
    assert!(is_signed_by(&held(&web), &old_root));

    let new_root = server.rotate().await;
    assert_ne!(new_root.id, old_root.id);
    for leaf in [next(&mut web).await, next(&mut certificate).await] {
        assert!(is_signed_by(&leaf, &new_root) && !is_signed_by(&leaf, &old_root));
    }
    let text = peerway_runtime::telemetry::metrics_text();
    assert!(
        text.contains("peerway_certs_issued_leaves_total{kind=\"server\"}"),
        "{text}"
    );
    assert!(
        text.contains("peerway_certs_issued_leaves_total{kind=\"service\"}"),
        "{text}"
    );
    assert!(
        text.contains("\npeerway_certs_root_expiry_timestamp_seconds "),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unusable_new_root_leaves_the_old_one_signing() {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    let old_root = server.root();
    let snapshot = server.store.reader.snapshot();
    let mut roots = (*snapshot.roots().unwrap().row).clone();
    roots.roots[0].active = false;
    let put = Transaction::new().put(Row::Roots(Arc::new(roots)));
    server.store.writer.commit(put).await.unwrap();
    adopt(&server.certs.keep, &server.store.reader.snapshot());
    let leaf = server.certs.issue_now(&server.service("web")).unwrap();
    assert!(is_signed_by(&leaf, &old_root));
}

#[tokio::test(start_paused = true)]
async fn debug_output_tells_which_and_how_many() {
    let server = start(MemoryStorage::default(), "dc1").await.unwrap();
    let leaf = server.certs.issue_now(&server.service("web")).unwrap();
    let shown = format!("{:?}", server.certs);
    assert!(
        shown.contains("1 identities") && shown.contains(&server.root().id),
        "{shown}"
    );
    assert!(!shown.contains("PRIVATE") && !shown.contains(leaf.key_pem.expose()));
}

#[tokio::test(start_paused = true)]
async fn a_new_cluster_begins_with_the_root_that_is_brought() {
    let id = "11111111-2222-3333-4444-555555555555";
    let named = |san: &str| {
        let recipe = Recipe {
            extensions: format!("{GOOD}subjectAltName = {san}\n"),
            ..Recipe::default()
        };
        recipe.make().brought
    };
    let brought = named(&format!("URI:spiffe://{id}.consul"));
    let strange = named("URI:spiffe://example.com");
    let other = Recipe::default().make().brought;
    // Made by the clock of openssl: they are not valid before.
    let storage = MemoryStorage::default();
    let now = made::now();
    let server = start_with(storage.clone(), "dc1", now, Some(&brought))
        .await
        .unwrap();
    assert_eq!(server.certs.trust_domain().as_str(), format!("{id}.consul"));
    assert_eq!(server.root().pem, brought.certificate);
    let leaf = server.certs.issue_now(&server.service("web")).unwrap();
    assert_eq!(leaf.root_id, server.root().id);

    // Later on the store decides.
    assert!(server.tasks.shutdown(HOUR).await.is_clean());
    let Server {
        store, certs, tasks, ..
    } = server;
    drop((certs, tasks));
    store.close();
    let server = start_with(storage, "dc1", now, Some(&other)).await.unwrap();
    assert_eq!(server.root().pem, brought.certificate);

    // Without a SPIFFE ID the cluster gets an id as any other.
    let server = start_with(MemoryStorage::default(), "dc1", now, Some(&other))
        .await
        .unwrap();
    assert!(server.certs.trust_domain().as_str().ends_with(".consul"));
    assert_eq!(server.root().pem, other.certificate);

    for (brought, problem) in [
        (strange, "signs for the trust domain example.com"),
        (
            BroughtRoot {
                certificate: other.certificate,
                key: brought.key,
            },
            "connect.ca_config.private_key: is not the key",
        ),
    ] {
        let storage = MemoryStorage::default();
        let refused = start_with(storage.clone(), "dc1", now, Some(&brought)).await;
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains(problem), "{refused}");
    }
}
