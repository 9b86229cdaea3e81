//! The fuzzer: libFuzzer around the target that `PEERWAY_FUZZ_TARGET` names. `cargo xtask fuzz` builds and runs it.
//!
//! With `PEERWAY_FUZZ_TARGET=list` it prints the names of all targets. When `PEERWAY_FUZZ_SEEDS` names a folder, the
//! target's seeds are written there before libFuzzer reads its corpus; when `PEERWAY_FUZZ_WORDS` names a file, their
//! words are written there as a dictionary.

#![no_main]
#![allow(
    unsafe_code,
    reason = "the entry point that libFuzzer calls is an exported symbol"
)]

use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::OnceLock;

use peerway_fuzz::{TARGETS, Target, words};

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = TARGET.set(chosen());
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);

/// The target that the environment names, with its seeds laid out.
fn chosen() -> &'static Target {
    let name = std::env::var("PEERWAY_FUZZ_TARGET").unwrap_or_default();
    if name == "list" {
        for target in TARGETS {
            println!("{}", target.name);
        }
        exit(0);
    }
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("error: PEERWAY_FUZZ_TARGET: no target is called {name:?}, ask for `list`");
        exit(2);
    };
    let seeds = (target.seeds)();
    if let Some(folder) = std::env::var_os("PEERWAY_FUZZ_SEEDS") {
        let folder = PathBuf::from(folder);
        for (index, seed) in seeds.iter().enumerate() {
            write(&folder.join(format!("seed-{index:03}")), seed);
        }
    }
    if let Some(file) = std::env::var_os("PEERWAY_FUZZ_WORDS") {
        let lines: Vec<String> = words(&seeds).map(|word| format!("\"{word}\"\n")).collect();
        write(&PathBuf::from(file), lines.concat().as_bytes());
    }
    target
}

fn write(file: &Path, content: &[u8]) {
    if let Err(error) = std::fs::write(file, content) {
        eprintln!("error: {} cannot be written: {error}", file.display());
        exit(2);
    }
}
