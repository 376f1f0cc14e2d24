//! How much memory this process held at most.

/// Bytes that were resident at the most (`VmHWM` of Linux); `None` if the
/// system does not say.
pub(super) fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    parse(&status)
}

fn parse(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_linux_is_read() {
        assert_eq!(parse("Name:\tx\nVmHWM:\t    12 kB\n"), Some(12 << 10));
        assert_eq!(parse("Name:\tx\n"), None);
    }
}
