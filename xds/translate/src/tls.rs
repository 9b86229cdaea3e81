//! mTLS contexts, and how a URI SAN is matched. Key material is never inside: it comes as secrets.

use crate::{packed, source};
use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::downstream_tls_context::SessionTicketKeysType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SubjectAltNameMatcher,
    TlsCertificate, TlsParameters, UpstreamTlsContext,
};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::{BoolValue, UInt32Value};
use peerway_mesh::{DownstreamTls, LEAF_SECRET, OutsideName, OutsideTls, ServingTls, UpstreamTls};
use peerway_model::config::{CipherSuite, Protocol, TlsBounds, TlsVersion, TrustedCa};

/// A host name that nobody has (RFC 2606).
const NOBODY: &str = "nobody.invalid";

/// mTLS as a client: the server must show one of the identities, vouched for by the validation's roots.
pub(crate) fn upstream(tls: &UpstreamTls, protocol: Protocol) -> TransportSocket {
    let alpn = spoken(protocol);
    let expected = CertificateValidationContext {
        match_typed_subject_alt_names: tls
            .identities
            .iter()
            .map(|identity| uri(MatchPattern::Exact(identity.clone())))
            .collect(),
        ..CertificateValidationContext::default()
    };
    let validation = ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
        default_validation_context: Some(expected),
        validation_context_sds_secret_config: Some(source::secret(&tls.validation)),
        ..CombinedCertificateValidationContext::default()
    });
    packed::tls_socket(UpstreamTlsContext {
        common_tls_context: Some(common(LEAF_SECRET, &tls.bounds, validation, alpn)),
        sni: tls.sni.clone(),
        // Servers of ours resume no sessions; the server's certificate is verified on every connection.
        max_session_keys: Some(UInt32Value { value: 0 }),
        ..UpstreamTlsContext::default()
    })
}

/// TLS as a client of a server outside the mesh: it must show one of the names, vouched for by one of the roots.
pub(crate) fn outside(tls: &OutsideTls, protocol: Protocol) -> TransportSocket {
    let mut names: Vec<SubjectAltNameMatcher> = tls.names.iter().map(outside_name).collect();
    if names.is_empty() {
        // Without any Envoy would take every server that the file vouches for.
        names.push(outside_name(&OutsideName::Host(NOBODY.to_owned())));
    }
    let roots = match &tls.roots {
        TrustedCa::File(path) => packed::file(path),
        TrustedCa::Inline(pem) | TrustedCa::InlineBytes(pem) => packed::inline(pem.as_str()),
    };
    let validation = ValidationContextType::ValidationContext(CertificateValidationContext {
        trusted_ca: Some(roots),
        match_typed_subject_alt_names: names,
        ..CertificateValidationContext::default()
    });
    let certificates = tls.certificate.iter().map(|(certificate, key)| TlsCertificate {
        certificate_chain: Some(packed::file(certificate)),
        private_key: Some(packed::file(key)),
        ..TlsCertificate::default()
    });
    packed::tls_socket(UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(parameters(&tls.bounds)),
            tls_certificates: certificates.collect(),
            validation_context_type: Some(validation),
            alpn_protocols: spoken(protocol).iter().map(|name| (*name).to_owned()).collect(),
            ..CommonTlsContext::default()
        }),
        sni: tls.sni.clone().unwrap_or_default(),
        auto_host_sni: tls.sni.is_none(),
        ..UpstreamTlsContext::default()
    })
}

fn outside_name(name: &OutsideName) -> SubjectAltNameMatcher {
    let (kind, text) = match name {
        OutsideName::Host(host) => (SanType::Dns, host.clone()),
        OutsideName::Ip(ip) => (SanType::IpAddress, ip.to_string()),
    };
    SubjectAltNameMatcher {
        san_type: i32::from(kind),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(text)),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    }
}

/// One protocol, because Envoy speaks the one that it is told to whatever is agreed on here.
fn spoken(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Tcp => &[],
        Protocol::Http => &["http/1.1"],
        Protocol::Http2 | Protocol::Grpc => &["h2"],
    }
}

/// mTLS as a server: any client that the validation's roots vouch for; who may go on is decided later, unless `admitting`
/// says that the handshake has to fail for those who may not.
pub(crate) fn downstream(tls: &DownstreamTls, protocol: Protocol, admitting: bool) -> TransportSocket {
    let alpn = offered(protocol);
    let name = tls.admitting.as_ref().filter(|_| admitting);
    let validation = ValidationContextType::ValidationContextSdsSecretConfig(source::secret(
        name.unwrap_or(&tls.validation),
    ));
    packed::tls_socket(DownstreamTlsContext {
        common_tls_context: Some(common(&tls.leaf, &tls.bounds, validation, alpn)),
        require_client_certificate: Some(BoolValue { value: true }),
        // A resumed session skips the verification of the client's certificate: a root that was taken away would go
        // on vouching, and Envoy does not count the certificate as verified, so policy would refuse the caller.
        disable_stateful_session_resumption: true,
        session_ticket_keys_type: Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)),
        ..DownstreamTlsContext::default()
    })
}

/// TLS as a server that asks for no certificate: of a gateway at the edge.
pub(crate) fn serving(tls: &ServingTls, protocol: Protocol) -> TransportSocket {
    packed::tls_socket(DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(parameters(&tls.bounds)),
            tls_certificate_sds_secret_configs: tls
                .certificates
                .iter()
                .map(|name| source::secret(name))
                .collect(),
            alpn_protocols: offered(protocol).iter().map(|name| (*name).to_owned()).collect(),
            ..CommonTlsContext::default()
        }),
        require_client_certificate: Some(BoolValue { value: false }),
        ..DownstreamTlsContext::default()
    })
}

/// What a server offers to speak, as Consul's (xDS facts, section 3.1).
fn offered(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Tcp => &[],
        Protocol::Http => &["http/1.1"],
        Protocol::Http2 | Protocol::Grpc => &["h2", "http/1.1"],
    }
}

/// Matches a certificate that has a URI SAN like `pattern`. Other kinds of names are not looked at: the text of a
/// DNS name is up to whoever signs, and may look like a URI.
pub(crate) fn uri(pattern: MatchPattern) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher {
        san_type: i32::from(SanType::Uri),
        matcher: Some(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    }
}

fn common(
    leaf: &str,
    bounds: &TlsBounds,
    validation: ValidationContextType,
    alpn: &[&str],
) -> CommonTlsContext {
    CommonTlsContext {
        tls_params: Some(parameters(bounds)),
        tls_certificate_sds_secret_configs: vec![source::secret(leaf)],
        validation_context_type: Some(validation),
        alpn_protocols: alpn.iter().map(|name| (*name).to_owned()).collect(),
        ..CommonTlsContext::default()
    }
}

fn parameters(bounds: &TlsBounds) -> TlsParameters {
    let version = |version| match version {
        TlsVersion::V1_2 => TlsProtocol::TlSv12,
        TlsVersion::V1_3 => TlsProtocol::TlSv13,
    };
    TlsParameters {
        tls_minimum_protocol_version: i32::from(version(bounds.oldest())),
        tls_maximum_protocol_version: i32::from(version(bounds.newest())),
        cipher_suites: bounds.ciphers.iter().map(|suite| cipher(*suite)).collect(),
        ..TlsParameters::default()
    }
}

/// BoringSSL's name.
fn cipher(suite: CipherSuite) -> String {
    let name = match suite {
        CipherSuite::EcdsaAes128 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::EcdsaAes256 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::EcdsaChaCha20 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::RsaAes128 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::RsaAes256 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::RsaChaCha20 => "ECDHE-RSA-CHACHA20-POLY1305",
    };
    name.to_owned()
}
