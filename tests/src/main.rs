//! `peerway` under another name, for the end-to-end tests.

fn main() -> std::process::ExitCode {
    peerway_cli::run(std::env::args().collect())
}
