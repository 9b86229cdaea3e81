//! What is outside the mesh: applications that know nothing of it.

use peerway_cli::demo::stage::free_port;
use peerway_tests::openssl::{DAYS, NEW_KEY, openssl};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Sends back what it is sent; the port.
pub(crate) fn repeater() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::spawn(move || repeat(&connection.unwrap()));
        }
    });
    port
}

fn repeat(connection: &TcpStream) {
    // The caller may close whenever it likes.
    let _ = std::io::copy(&mut &*connection, &mut &*connection);
}

/// A TLS server that answers each line with its reverse, to clients with a certificate. To whoever asks for `vault.example`
/// it shows one for that name, to others one for another name and its IP address; what is in `ca.pem` vouches for all of
/// them.
pub(crate) struct Vault {
    process: Child,
    /// Where it listens.
    pub(crate) port: u16,
}

impl Vault {
    pub(crate) fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let authority = ["req", "-x509"];
        let files = [
            "-days",
            DAYS,
            "-subj",
            "/CN=outside",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ];
        openssl(folder, &[&authority[..], &NEW_KEY, &files].concat(), &[]).unwrap();
        for (name, names) in [
            ("vault.example", "DNS:vault.example"),
            ("other.example", "DNS:other.example,IP:127.0.0.1"),
            ("gateway", "DNS:gateway"),
        ] {
            certify(folder, name, names);
        }
        let port = free_port().unwrap();
        let process = Command::new("openssl")
            .args([
                "s_server",
                "-rev",
                "-quiet",
                "-accept",
                &format!("127.0.0.1:{port}"),
            ])
            .args(["-cert", "other.example.pem", "-key", "other.example.key"])
            .args(["-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"])
            .args(["-servername", "vault.example"])
            .args(["-cert2", "vault.example.pem", "-key2", "vault.example.key"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is needed by this test, install it");
        Vault { process, port }
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a certificate for these names from `ca.pem`, and its key.
fn certify(folder: &Path, name: &str, names: &str) {
    let (key, request, certificate) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.pem"),
    );
    std::fs::write(folder.join("names"), format!("subjectAltName = {names}\n")).unwrap();
    let asks = ["req", "-new"];
    let files = ["-subj", "/CN=server", "-keyout", &key, "-out", &request];
    openssl(folder, &[&asks[..], &NEW_KEY, &files].concat(), &[]).unwrap();
    let signs = [
        "x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key",
    ];
    let files = [
        "-CAcreateserial",
        "-days",
        DAYS,
        "-extfile",
        "names",
        "-out",
        &certificate,
    ];
    openssl(folder, &[&signs[..], &files].concat(), &[]).unwrap();
}
