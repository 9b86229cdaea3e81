//! What `envoy` accepts, and that only a binary that answers as Envoy does is taken for one.

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_version_flag_is_taken_out_and_the_rest_stays_in_order() {
    for given in [
        "--once --envoy-version 1.36.4 --json f",
        "--once --envoy-version=1.36.4 --json f",
    ] {
        let mut args = words(given);
        assert_eq!(take_version(&mut args, "--envoy-version").unwrap(), "1.36.4");
        assert_eq!(args, words("--once --json f"));
    }
}

#[test]
fn without_the_flag_it_is_the_newest() {
    let mut args = words("--once -- --envoy-version 1.36.4");
    assert_eq!(take_version(&mut args, "--envoy-version").unwrap(), NEWEST);
    assert_eq!(args.len(), 4, "arguments behind -- are not ours");
}

#[test]
fn a_flag_without_value_or_given_twice_is_refused() {
    for given in [
        "--version",
        "--version -- 1.40.0",
        "--version 1.40.0 --version 1.36.4",
    ] {
        let mut args = words(given);
        assert!(
            take_version(&mut args, "--version").is_err(),
            "{given} was accepted"
        );
    }
    assert!(parse_args(&words("--version 1.40.0 more")).is_err());
}

#[test]
fn only_versions_are_versions() {
    assert_eq!(parse_version("oldest").unwrap(), OLDEST);
    assert_eq!(parse_version("newest").unwrap(), NEWEST);
    assert_eq!(parse_version("1.36.2.post1").unwrap(), "1.36.2.post1");
    for bad in [
        "",
        ".",
        "..",
        "1",
        "latest",
        "../1.40.0",
        "1.40.0/x",
        "1..40",
        "1.40.0 --index-url=x",
        "-r.x",
    ] {
        assert!(parse_version(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn a_binary_must_report_the_version_asked_for() {
    let says = "target/envoy  version: 0123abcd/1.40.0/Clean/RELEASE/BoringSSL\n";
    let reported = as_envoy(says).unwrap();
    names_version(reported, "1.40.0").unwrap();
    names_version(reported, "1.40.0.post1").unwrap();
    assert!(
        names_version(reported, "1.4").is_err(),
        "a prefix of the version is another version"
    );
    assert!(names_version(reported, "1.36.4").is_err());
}

#[test]
fn another_program_is_not_taken_for_envoy() {
    assert!(as_envoy("").is_err());
    assert!(as_envoy("true (GNU coreutils) 9.1").is_err());
    assert!(reported_version(Path::new("true")).is_err());
    assert!(reported_version(Path::new("peerway-no-such-program")).is_err());
}
