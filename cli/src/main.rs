//! The one binary of Peerway.

fn main() -> std::process::ExitCode {
    peerway_cli::run(std::env::args().collect())
}
