//! Durations as Go writes them: `1h30m`, `1.5s`, `250ms`.

/// Units with their length in nanoseconds, longer names first where one begins another.
const UNITS: [(&str, u128); 7] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];
const NANOS_PER_MILLI: u128 = 1_000_000;

/// The milliseconds of a text, rounded up so that no wait becomes none; `None` when it is not a duration, or negative,
/// or does not fit.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut nanos = 0_u128;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, length) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanos = nanos.checked_add(u128::from(whole) * length)?;
        // More digits than a nanosecond has say nothing.
        let mut scale = *length;
        for digit in part.chars().take(18) {
            scale /= 10;
            nanos += u128::from(digit.to_digit(10)?) * scale;
        }
        if !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        rest = &tail[unit.len()..];
    }
    u64::try_from(nanos.div_ceil(NANOS_PER_MILLI)).ok()
}

/// The text that Go would write: `1h0m0s`, `1m30s`, `1.5s`, `250ms`, `0s`.
pub(crate) fn duration_text(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (seconds, part) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let seconds = match part {
        0 => format!("{seconds}s"),
        part => format!("{seconds}.{}s", format!("{part:03}").trim_end_matches('0')),
    };
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, ms) in [
            ("5s", 5_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            (".5s", 500),
            ("1m0s", 60_000),
            ("100us", 1),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for bad in [
            "",
            "5",
            "s",
            "-5s",
            "5x",
            "1..5s",
            "1.5.2s",
            "99999999999999999999h",
        ] {
            assert_eq!(duration_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (1_500, "1.5s"),
            (60_000, "1m0s"),
            (5_400_250, "1h30m0.25s"),
        ] {
            assert_eq!(duration_text(ms), text);
            assert_eq!(duration_ms(text), Some(ms));
        }
    }
}
