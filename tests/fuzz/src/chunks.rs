//! Several inputs in one: how a fuzzer's bytes become a sequence of steps.

/// One step: what to do and with which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Which kind of step; every value means something.
    pub tag: u8,
    /// What it works on.
    pub bytes: &'a [u8],
}

/// Splits into steps: a tag, a length of two bytes (big end first), that many bytes. The last one may be short.
pub fn split(mut data: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (&tag, rest) = data.split_first()?;
        let (length, rest) = match rest {
            [high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            rest => (0, rest),
        };
        let (bytes, rest) = rest.split_at(length.min(rest.len()));
        data = rest;
        Some(Chunk { tag, bytes })
    })
}

/// The bytes that [`split`] makes these steps of. Each step's bytes are cut at 65,535.
pub fn join<'a>(chunks: impl IntoIterator<Item = (u8, &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, bytes) in chunks {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        out.push(tag);
        out.extend(length.to_be_bytes());
        out.extend(&bytes[..usize::from(length)]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_joined_is_split_again_and_a_cut_end_is_taken_as_it_is() {
        let steps: [(u8, &[u8]); 3] = [(1, b"one"), (0, b""), (255, b"last")];
        let joined = join(steps);
        let again: Vec<(u8, &[u8])> = split(&joined).map(|chunk| (chunk.tag, chunk.bytes)).collect();
        assert_eq!(again, steps);
        let cut: Vec<Chunk<'_>> = split(&joined[..joined.len() - 2]).collect();
        assert_eq!(
            cut.last(),
            Some(&Chunk {
                tag: 255,
                bytes: b"la"
            })
        );
        assert_eq!(
            split(&[7, 1]).count(),
            2,
            "a tag without a length, then the rest as a tag"
        );
    }
}
