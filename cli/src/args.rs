//! One dash or two: Consul's users write `-name=web`, the parser wants `--name=web`.

/// The arguments with every long flag spelt with two dashes. What follows a bare `--` is left alone, as are `-`,
/// one-letter flags such as `-h`, and negative numbers.
pub fn normalise(args: Vec<String>) -> Vec<String> {
    let mut verbatim = false;
    args.into_iter()
        .enumerate()
        .map(|(index, arg)| {
            verbatim |= arg == "--";
            if index == 0 || verbatim {
                arg
            } else {
                with_two_dashes(arg)
            }
        })
        .collect()
}

fn with_two_dashes(arg: String) -> String {
    let Some(flag) = arg.strip_prefix('-') else {
        return arg;
    };
    let name = flag.split('=').next().unwrap_or(flag);
    let long = name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    if long { format!("-{arg}") } else { arg }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_flags_get_a_second_dash() {
        let given = [
            "peerway",
            "-name=web",
            "--name",
            "-h",
            "-1",
            "-",
            "value",
            "-x=1",
            "--",
            "-l",
            "-log-level",
        ];
        let expected = [
            "peerway",
            "--name=web",
            "--name",
            "-h",
            "-1",
            "-",
            "value",
            "-x=1",
            "--",
            "-l",
            "-log-level",
        ];
        let given = given.map(str::to_owned).to_vec();
        assert_eq!(normalise(given), expected);
    }
}
