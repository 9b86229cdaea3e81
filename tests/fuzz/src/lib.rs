//! Fuzz targets: one for each decoder that reads bytes from outside, with what must hold whatever the bytes are.
//!
//! A target that panics is a finding. The rules it checks are those of the rooms: nothing panics, what was accepted
//! is written and read again as the same, names hold no character that could end a larger text around them, and
//! nothing from a peer touches a row that is not the peer's. `docs/fuzzing.md` says how to run them.

pub mod chunks;
pub mod targets;
pub mod world;

/// One decoder under test.
#[derive(Debug)]
pub struct Target {
    /// As `cargo xtask fuzz --target` spells it.
    pub name: &'static str,
    /// Decodes and checks; panics on a finding.
    pub run: fn(&[u8]),
    /// Inputs to begin with, which reach past the first checks.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them, in alphabetical order.
pub const TARGETS: &[Target] = &[
    targets::certificate::TARGET,
    targets::config::TARGET,
    targets::dns::TARGET,
    targets::hcl::TARGET,
    targets::names::TARGET,
    targets::message::TARGET,
    targets::stream::TARGET,
    targets::registration::TARGET,
    targets::stored::TARGET,
    targets::token::TARGET,
    targets::xds::TARGET,
];

/// Most words of a dictionary.
const MAX_WORDS: usize = 2_000;
/// Longest word of a dictionary, in bytes; libFuzzer takes no longer ones.
const MAX_WORD_BYTES: usize = 64;

/// The words that occur in `inputs`, sorted: names of fields and the like, which a fuzzer does not guess.
pub fn words(inputs: &[Vec<u8>]) -> impl Iterator<Item = String> {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    let all: std::collections::BTreeSet<String> = inputs
        .iter()
        .flat_map(|input| input.split(move |byte| !part(byte)))
        .filter(|word| (2..=MAX_WORD_BYTES).contains(&word.len()))
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    all.into_iter().take(MAX_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs that were findings once, by target: `regressions/<target>/<what it was>`.
    fn regressions(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("regressions")
            .join(target);
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
            .collect()
    }

    #[test]
    fn no_seed_and_no_former_finding_is_a_finding() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(seeds.len() > 3, "{} has only {} seeds", target.name, seeds.len());
            (target.run)(b"");
            for seed in seeds {
                (target.run)(&seed);
                // Cut short and with a bit turned, as the first mutations of a fuzzer are.
                for at in 0..seed.len().min(200) {
                    (target.run)(&seed[..at]);
                    let mut turned = seed.clone();
                    turned[at] ^= 1 << (at % 8);
                    (target.run)(&turned);
                }
            }
            for (_, input) in regressions(target.name) {
                (target.run)(&input);
            }
        }
    }

    #[test]
    fn the_words_of_the_seeds_are_the_names_of_fields() {
        let words: Vec<String> = words(&(targets::config::TARGET.seeds)()).collect();
        for word in ["Kind", "service-intentions", "PathPrefix"] {
            assert!(
                words.iter().any(|known| known == word),
                "{word} is missing in {words:?}"
            );
        }
    }

    #[test]
    fn names_are_unique_and_usable_as_folders() {
        let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len());
    }
}
