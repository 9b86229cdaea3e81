//! A second opinion before anything depends on a root: does a TLS library verify what was signed?

use peerway_runtime::UnixMillis;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;
use std::time::Duration;

/// Checks that who trusts the root in `anchor` (DER) alone verifies the leaf that `chain` (PEM) begins with, with the
/// certificates behind it.
///
/// # Errors
/// What the TLS library says.
pub(crate) fn verify(anchor: &[u8], chain: &str, now: UnixMillis) -> Result<(), String> {
    let mut anchors = RootCertStore::empty();
    anchors
        .add(CertificateDer::from(anchor.to_vec()))
        .map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let Some((leaf, between)) = chain.split_first() else {
        return Err("there is no certificate".to_owned());
    };
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
    verifier
        .verify_client_cert(leaf, between, now)
        .map(|_| ())
        .map_err(|error| error.to_string())
}
