//! IPv4 and IPv6 addresses. Those that name no machine of a person (loopback,
//! unspecified, documentation masks) stay readable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

use super::{Finding, Kind, follows};

static V4: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{1,3}(?:\.\d{1,3}){3}").expect("a constant expression"));

static V6: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:[0-9a-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4})")
        .expect("a constant expression")
});

/// Words before four numbers that are a version.
const VERSION: &[&str] = &[
    "version",
    "release",
    "build",
    "upgrade",
    "update to",
    "v.",
    "ver ",
];

pub(super) fn find(text: &str, found: &mut Vec<Finding>) {
    for hit in V6.find_iter(text) {
        let groups = hit.as_str().matches(':').count();
        let address = hit.as_str().parse::<Ipv6Addr>().ok();
        // `::` is a path separator of programs, `a::b` and `12:30:45` are no
        // addresses either.
        let long = groups >= 3 || hit.as_str().len() >= 8;
        if let Some(address) = address
            && long
            && is_free(text, hit.start(), hit.end(), ":_")
            && is_somebodys(IpAddr::V6(address))
        {
            found.push(Finding {
                kind: Kind::Ip,
                span: hit.range(),
            });
        }
    }
    for hit in V4.find_iter(text) {
        if let Ok(address) = hit.as_str().parse::<Ipv4Addr>()
            && is_free(text, hit.start(), hit.end(), "._-")
            && !is_version(text, hit.start())
            && is_somebodys(IpAddr::V4(address))
        {
            found.push(Finding {
                kind: Kind::Ip,
                span: hit.range(),
            });
        }
    }
}

/// Whether nothing of the same token is around `start..end`: no letter, no
/// digit, none of `joints` with something behind it.
fn is_free(text: &str, start: usize, end: usize, joints: &str) -> bool {
    let glued = |near: Option<char>, far: Option<char>| {
        near.is_some_and(|near| {
            near.is_alphanumeric()
                || (joints.contains(near) && far.is_some_and(char::is_alphanumeric))
        })
    };
    let mut before = text[..start].chars().rev();
    let mut after = text[end..].chars();
    !glued(before.next(), before.next()) && !glued(after.next(), after.next())
}

fn is_version(text: &str, start: usize) -> bool {
    follows(text, start, 14, VERSION)
}

fn is_somebodys(address: IpAddr) -> bool {
    let mask = matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 255 || v4.octets()[0] == 0);
    !address.is_loopback() && !address.is_unspecified() && !mask
}
