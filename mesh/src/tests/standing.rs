//! What operators are told about gateways and routes is what proxies are told, and nobody who waits for a change of it
//! waits for ever.

use super::world::*;
use crate::{Fragment, View};
use peerway_model::condition::{Condition, ConditionKind};
use peerway_model::{ConfigKey, ConfigKind, Partition};
use peerway_state::{ChangeSet, Snapshot, Standing, standing};
use std::collections::BTreeMap;

/// The port of the listener of `front` that speaks HTTP, and of the one that speaks TCP.
const PORTS: (u16, u16) = (8_090, 8_091);

/// How everything stands that histories have of gateways and routes.
pub(super) struct Standings(BTreeMap<ConfigKey, Standing>);

fn key(kind: ConfigKind, name: &str) -> ConfigKey {
    ConfigKey::new(kind, &Partition::default(), "default", name)
}

fn holds(conditions: &[Condition], kind: ConditionKind) -> bool {
    conditions
        .iter()
        .any(|condition| condition.kind == kind && condition.holds)
}

impl Standings {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let keys = [
            (ConfigKind::ApiGateway, "front"),
            (ConfigKind::HttpRoute, "r1"),
            (ConfigKind::HttpRoute, "r2"),
            (ConfigKind::TcpRoute, "t1"),
            (ConfigKind::TcpRoute, "t2"),
        ];
        let keys = keys.into_iter().map(|(kind, name)| key(kind, name));
        Standings(keys.map(|key| (key.clone(), standing(snapshot, &key))).collect())
    }

    /// Whatever stands otherwise than before has been touched through what was read for it.
    pub(super) fn woken(&self, before: &Standings, changes: &ChangeSet) {
        for (key, standing) in &self.0 {
            let before = &before.0[key];
            assert!(
                standing.conditions == before.conditions || changes.touches_any(&before.topics),
                "nobody is told that {key:?} stands otherwise: {:?} was {:?}, after {changes:?}",
                standing.conditions,
                before.conditions
            );
        }
    }

    /// A view of `front` has what is said to be there and nothing else.
    pub(super) fn agree_with(&self, view: &View) {
        let listens = |port: u16| {
            view.fragments
                .iter()
                .any(|held| matches!(&**held, Fragment::Listener(listener) if listener.address.port == port))
        };
        let serves = |port: u16| {
            let name = port.to_string();
            view.fragments.iter().any(|held| match &**held {
                Fragment::Routes(table) => table.name == name && !table.hosts.is_empty(),
                _ => false,
            })
        };
        let bound = |kind: ConfigKind| {
            self.0
                .iter()
                .any(|(key, own)| key.kind == kind && holds(&own.conditions, ConditionKind::Bound))
        };
        let (http, tcp) = PORTS;
        let gateway = &self.0[&key(ConfigKind::ApiGateway, "front")].conditions;
        assert_eq!(
            holds(gateway, ConditionKind::Accepted),
            listens(http),
            "{gateway:?}"
        );
        assert_eq!(bound(ConfigKind::HttpRoute), listens(http) && serves(http));
        assert_eq!(bound(ConfigKind::TcpRoute), listens(tcp));
    }
}

#[test]
fn standings_can_disagree() {
    // The checks above would be worth nothing if they held for any view.
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(front("n1")),
        super::entries::api(&[(PORTS.0, peerway_model::config::Protocol::Http, None, &[])]),
    ]);
    let view = |world: &World| {
        crate::Mesh::new(world.shared())
            .watch(&instance_key("n1", "front"))
            .unwrap()
    };
    let before = view(&world);
    Standings::of(&world.snapshot).agree_with(&before);
    let old = Standings::of(&world.snapshot);
    let changes = world.put([super::entries::http_route(
        "r1",
        None,
        &[],
        &[("/", &[(1, "api@east")])],
    )]);
    let new = Standings::of(&world.snapshot);
    new.agree_with(&view(&world));
    new.woken(&old, &changes);
    let fails = |check: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err();
    assert!(fails(&|| new.agree_with(&before)));
    assert!(fails(&|| new.woken(&old, &ChangeSet::default())));
}
