//! Serial numbers: positive, unguessable and of one length (RFC 5280, section 4.1.2.2: at most 20 bytes).

use peerway_model::{Failure, FailureKind};

/// Returns `N` bytes from the operating system's generator that read as a positive number of exactly `N` bytes:
/// the highest bit is cleared and the one below is set.
///
/// # Errors
/// `Unavailable` when the operating system gives no random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| {
            Failure::new(
                FailureKind::Unavailable,
                "the operating system gives no random bytes for a serial number, retry later",
            )
        })?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_positive_of_full_length_and_never_the_same() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let serial = random::<16>().unwrap();
            assert_eq!(serial[0] & 0xc0, 0x40);
            assert!(seen.insert(serial));
        }
    }
}
