//! Who signs: the hatch for an authority, and the built-in one.

use crate::validity::{Validity, system_time};
use crate::{bridge, leaf};
use peerway_model::{CaKey, CaRoot, CaRoots, Failure, FailureKind, SpiffeId, TrustDomain};
use peerway_runtime::UnixMillis;
use peerway_state::Snapshot;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use std::fmt;
use std::time::Duration;

/// A leaf that is to be signed.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// Becomes the only URI SAN. Authenticated by whoever orders.
    pub identity: &'a SpiffeId,
    /// Becomes the DNS SANs; none for workloads.
    pub dns_names: &'a [String],
    /// The subject's public key: DER of a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    pub public_key: &'a [u8],
    /// Positive, big-endian.
    pub serial: &'a [u8],
    /// Valid from, unix milliseconds in whole seconds.
    pub not_before: u64,
    /// Valid until, unix milliseconds in whole seconds; not after the end of [`Authority::root`].
    pub not_after: u64,
}

/// Signs leaves with one root. It must not block on a network: leaves are made on the caller's thread.
pub trait Authority: fmt::Debug + Send + Sync + 'static {
    /// The root that its leaves chain to.
    fn root(&self) -> &CaRoot;

    /// Returns the PEM of the certificate, then of any intermediates, each ending in a newline.
    ///
    /// # Errors
    /// `Denied` for an identity of another trust domain, `Invalid` for an order that no certificate can express,
    /// `Internal` when signing fails.
    fn sign(&self, order: &Order<'_>) -> Result<String, Failure>;
}

/// How long the leaf of a trial lives.
const TRIAL: Duration = Duration::from_secs(60);

/// The authority whose root key lies in the store.
pub struct BuiltIn {
    root: CaRoot,
    trust_domain: TrustDomain,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuiltIn({})", self.root.id)
    }
}

impl BuiltIn {
    /// The authority that signs with the active root of `roots`, whose key is `key`.
    ///
    /// # Errors
    /// `Internal` when there is no active root, or when root and key cannot be read or do not belong together.
    pub fn new(roots: &CaRoots, key: &CaKey) -> Result<Self, Failure> {
        BuiltIn::of_root(active(roots)?, key, &roots.trust_domain)
    }

    /// The authority that signs with `root`, whose key is `key`.
    ///
    /// # Errors
    /// `Internal` when root and key cannot be read or do not belong together.
    pub(crate) fn of_root(root: &CaRoot, key: &CaKey, trust_domain: &TrustDomain) -> Result<Self, Failure> {
        let broken = |problem: String| {
            let message = format!("the root {} {problem}, restore the store from a backup", root.id);
            Failure::new(FailureKind::Internal, message)
        };
        let pair =
            KeyPair::from_pem(key.pem.expose()).map_err(|e| broken(format!("has an unreadable key: {e}")))?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(root.pem.as_bytes())
            .map_err(|e| broken(format!("has an unreadable certificate: {e}")))?;
        let certificate = pem
            .parse_x509()
            .map_err(|e| broken(format!("has an unreadable certificate: {e}")))?;
        if !certificate.is_ca() {
            return Err(broken("has a certificate that may not sign".to_owned()));
        }
        // A key that is not the root's would sign leaves that nobody can verify.
        if certificate.public_key().raw != pair.subject_public_key_info() {
            return Err(broken("has the key of another certificate".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_pem(&root.pem, pair)
            .map_err(|e| broken(format!("has an unreadable certificate: {e}")))?;
        Ok(BuiltIn {
            root: root.clone(),
            trust_domain: trust_domain.clone(),
            issuer,
        })
    }

    /// What signs.
    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// A leaf that nobody uses, with everything that goes with it, to see whether it is verified.
    ///
    /// # Errors
    /// As [`leaf::issue`].
    pub(crate) fn trial_leaf(&self, now: UnixMillis) -> Result<String, Failure> {
        let identity = SpiffeId::parse(&format!(
            "spiffe://{}/ns/trial/dc/trial/svc/trial",
            self.trust_domain
        ))
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        Ok(leaf::issue(self, &identity, TRIAL, now)?.chain_pem)
    }

    /// The authority of the rows in `snapshot`.
    ///
    /// # Errors
    /// As [`BuiltIn::new`], also when the roots or the active root's key are not there.
    pub fn of(snapshot: &Snapshot) -> Result<Self, Failure> {
        let missing = |what: String| {
            let message = format!("the store has no {what}, restore it from a backup");
            Failure::new(FailureKind::Internal, message)
        };
        let roots = snapshot
            .roots()
            .ok_or_else(|| missing("roots of the cluster".to_owned()))?;
        let root = active(roots)?;
        let key = snapshot
            .ca_key(&root.id)
            .ok_or_else(|| missing(format!("key of the active root {}", root.id)))?;
        BuiltIn::new(roots, key)
    }
}

impl Authority for BuiltIn {
    fn root(&self) -> &CaRoot {
        &self.root
    }

    fn sign(&self, order: &Order<'_>) -> Result<String, Failure> {
        if order.identity.trust_domain() != &self.trust_domain {
            let message = format!(
                "{} is not of the trust domain {}, ask its own cluster for a certificate",
                order.identity, self.trust_domain
            );
            return Err(Failure::new(FailureKind::Denied, message));
        }
        let invalid = |error: rcgen::Error| {
            let message = format!("no certificate can be made for {}: {error}", order.identity);
            Failure::new(FailureKind::Invalid, message)
        };
        let validity = Validity {
            not_before: peerway_runtime::UnixMillis(order.not_before),
            not_after: peerway_runtime::UnixMillis(order.not_after),
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // A subject that is not empty keeps the SAN uncritical, as strict verifiers want (RFC 5280, 4.2.1.6).
        params
            .distinguished_name
            .push(DnType::CommonName, leaf::common_name(order.identity));
        params.not_before = system_time(validity.not_before)?.into();
        params.not_after = system_time(validity.not_after)?.into();
        params.serial_number = Some(order.serial.to_vec().into());
        // Explicitly no CA: without it the library leaves out the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let uri = order.identity.to_string();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(invalid)?)];
        for name in order.dns_names {
            let name = name.clone().try_into().map_err(invalid)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let public_key = SubjectPublicKeyInfo::from_der(order.public_key).map_err(invalid)?;
        let certificate = params.signed_by(&public_key, &self.issuer).map_err(|error| {
            let message = format!(
                "the certificate of {} could not be signed: {error}",
                order.identity
            );
            Failure::new(FailureKind::Internal, message)
        })?;
        let mut chain = certificate.pem();
        for bridge in bridge::alive(&self.root.bridges, order.not_before).take(bridges_of(order.identity)) {
            chain.push_str(bridge);
        }
        Ok(chain)
    }
}

/// How many bridges go with a leaf: all of them with the server's, for a dialer that has not built its loop anew may
/// hold any former root. Of the others, proxies verify, which have been given the root before this one at the least.
fn bridges_of(identity: &SpiffeId) -> usize {
    match identity {
        SpiffeId::Server { .. } => bridge::MAX_BRIDGES,
        SpiffeId::Service { .. } | SpiffeId::MeshGateway { .. } => 1,
    }
}

fn active(roots: &CaRoots) -> Result<&CaRoot, Failure> {
    roots.active().ok_or_else(|| {
        Failure::new(
            FailureKind::Internal,
            "no root of the cluster is active, restore the store from a backup",
        )
    })
}
