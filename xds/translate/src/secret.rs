//! Secrets: who may vouch for whom, and a proxy's own leaf.

use crate::authorization;
use crate::dialect::Dialect;
use crate::packed::inline;
use crate::resource::{self, Resource, ResourceKind};
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::spiffe_cert_validator_config::TrustDomain;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, SpiffeCertValidatorConfig, TlsCertificate,
};
use envoy_types::util::pack_any;
use peerway_mesh::{Certificate, LEAF_SECRET, Validation};
use peerway_model::Leaf;

/// A certificate is verified against the roots of its own trust domain only, so that no root can vouch for another
/// domain. That is so for one domain as well: a root that signs for two domains is trusted for the listed one.
pub(crate) fn validation(validation: &Validation) -> Secret {
    let trust_domains = validation
        .domains
        .iter()
        .map(|(domain, roots)| TrustDomain {
            name: domain.as_str().to_owned(),
            trust_bundle: Some(inline(roots.concat())),
            ..TrustDomain::default()
        })
        .collect();
    let validator = SpiffeCertValidatorConfig {
        trust_domains,
        ..SpiffeCertValidatorConfig::default()
    };
    let context = CertificateValidationContext {
        custom_validator_config: Some(TypedExtensionConfig {
            name: "envoy.tls.cert_validator.spiffe".to_owned(),
            typed_config: Some(pack_any(validator)),
        }),
        match_typed_subject_alt_names: validation
            .admitted
            .as_ref()
            .map(authorization::names)
            .unwrap_or_default(),
        ..CertificateValidationContext::default()
    };
    Secret {
        name: validation.name.clone(),
        r#type: Some(Type::ValidationContext(context)),
    }
}

/// A certificate of an operator's own.
pub(crate) fn certificate(certificate: &Certificate) -> Secret {
    Secret {
        name: certificate.name.clone(),
        r#type: Some(Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(inline(certificate.chain.as_str())),
            private_key: Some(inline(certificate.key.expose())),
            ..TlsCertificate::default()
        })),
    }
}

/// The secret [`LEAF_SECRET`] with `leaf`. Every proxy has one under this name, each its own. The version is that of
/// identity and serial number, so it tells nothing of the key.
pub fn leaf_secret(leaf: &Leaf) -> Resource {
    named_leaf_secret(LEAF_SECRET, leaf)
}

/// The same under another name, for a proxy that has several.
pub fn named_leaf_secret(name: &str, leaf: &Leaf) -> Resource {
    let message = Secret {
        name: name.to_owned(),
        r#type: Some(Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(inline(leaf.chain_pem.as_str())),
            private_key: Some(inline(leaf.key_pem.expose())),
            ..TlsCertificate::default()
        })),
    };
    // A leaf looks the same in every dialect; should that change, it gets a dialect too.
    let version = resource::version(&(&leaf.identity, &leaf.serial), Dialect::From1_36);
    Resource::encode(ResourceKind::Secret, name.to_owned(), version, message)
}
