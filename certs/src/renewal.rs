//! When a leaf is renewed: decisions without a clock.

use peerway_runtime::UnixMillis;

/// The part of its life that a leaf keeps at least before it is renewed.
const EARLIEST: f64 = 0.6;
/// The part of its life after which a leaf is renewed at the latest.
const LATEST: f64 = 0.9;

/// What is known of a leaf that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    /// The root that signed it.
    pub(crate) root_id: String,
    /// Valid from.
    pub(crate) not_before: UnixMillis,
    /// Valid until.
    pub(crate) not_after: UnixMillis,
    /// When to renew it.
    pub(crate) renew_at: UnixMillis,
}

/// The moment between 60 and 90 % of a life at which to renew (xDS facts, section 5). `chance`, 0 to 1, spreads
/// leaves that were issued together.
pub(crate) fn renew_at(not_before: UnixMillis, not_after: UnixMillis, chance: f64) -> UnixMillis {
    let share = EARLIEST + (LATEST - EARLIEST) * chance.clamp(0.0, 1.0);
    not_before.after(not_after.since(not_before).mul_f64(share))
}

/// Whether a leaf must be replaced now, given the root that signs now and that root's end.
pub(crate) fn is_due(issued: &Issued, now: UnixMillis, root_id: &str, root_ends: UnixMillis) -> bool {
    if issued.root_id != root_id {
        return true;
    }
    // The clock was put back, as when a machine starts with a wrong date: verifiers with the right one refuse it.
    if now < issued.not_before {
        return true;
    }
    // It ends with its root: a new one would not live longer, and ever shorter lives would be renewed ever faster.
    let ends_with_root = issued.not_after.as_secs() >= root_ends.as_secs();
    now >= issued.renew_at && !ends_with_root
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> UnixMillis {
        UnixMillis(millis)
    }

    #[test]
    fn the_moment_lies_between_60_and_90_percent() {
        assert_eq!(renew_at(at(1_000), at(101_000), 0.0), at(61_000));
        assert_eq!(renew_at(at(1_000), at(101_000), 0.5), at(76_000));
        assert_eq!(renew_at(at(1_000), at(101_000), 1.0), at(91_000));
        assert_eq!(renew_at(at(1_000), at(101_000), 7.0), at(91_000));
        assert_eq!(renew_at(at(5), at(1), 0.5), at(5));
    }

    #[test]
    fn the_table_of_decisions() {
        let issued = Issued {
            root_id: "a".to_owned(),
            not_before: at(1_000),
            not_after: at(101_000),
            renew_at: at(76_000),
        };
        let far = at(1_000_000);
        for (case, now, root, root_ends, expected) in [
            ("fresh", at(2_000), "a", far, false),
            ("just before its moment", at(75_999), "a", far, false),
            ("at its moment", at(76_000), "a", far, true),
            ("expired", at(200_000), "a", far, true),
            ("another root signs", at(2_000), "b", far, true),
            ("the clock was put back", at(999), "a", far, true),
            ("from its first moment", at(1_000), "a", far, false),
            ("ends with its root", at(80_000), "a", at(101_999), false),
            ("ends after its root", at(80_000), "a", at(90_000), false),
            (
                "ends with its root, another signs",
                at(80_000),
                "b",
                at(101_000),
                true,
            ),
        ] {
            assert_eq!(is_due(&issued, now, root, root_ends), expected, "{case}");
        }
    }
}
