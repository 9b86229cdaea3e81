//! Keys and certificates that somebody else than Peerway makes: the command line of OpenSSL.

use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// For how many days certificates are good.
pub const DAYS: &str = "2";
/// A key of an elliptic curve, which is not locked.
pub const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

/// What a command, run in a folder, says when it is told `input`.
///
/// # Errors
/// When there is no OpenSSL, or it fails, with what it complains of.
pub fn openssl(folder: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl is needed by this test, install it")?;
    let mut stdin = child.stdin.take().context("no way to say anything")?;
    // One that needs no input does not read it.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// Writes a certificate that vouches for itself and its key, `FILE.crt` and `FILE.key`. `names` are its subject's, as in
/// `DNS:a.example,IP:127.0.0.1`.
///
/// # Errors
/// As [`openssl`].
pub fn self_signed(folder: &Path, file: &str, subject: &str, names: &str) -> Result<()> {
    let (subject, names) = (format!("/CN={subject}"), format!("subjectAltName={names}"));
    let (key, certificate) = (format!("{file}.key"), format!("{file}.crt"));
    let first = ["req", "-x509"];
    let rest = [
        "-days",
        DAYS,
        "-subj",
        &subject,
        "-addext",
        &names,
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    openssl(folder, &[&first[..], &NEW_KEY, &rest].concat(), &[])?;
    Ok(())
}
