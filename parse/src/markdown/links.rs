//! Where links lead, for those who read without a pointer.

/// Longest address that is told, in bytes.
const MAX_ADDRESS_NUM_BYTES: usize = 2048;

/// A link that is being read.
#[derive(Default)]
pub(super) struct Link {
    /// What is written on it so far.
    pub(super) label: String,
    /// Whether its text is the name of a page, as in `[[Page#Part]]`.
    pub(super) is_page_name: bool,
    /// Whether it is not a link at all, but a matrix or a list of lists: its brackets stay.
    pub(super) is_nested_brackets: bool,
    address: Option<String>,
}

impl Link {
    pub(super) fn to(address: Option<String>) -> Self {
        Self {
            address,
            ..Self::default()
        }
    }

    /// Double brackets around other brackets.
    pub(super) fn nested_brackets() -> Self {
        Self {
            is_nested_brackets: true,
            ..Self::default()
        }
    }

    /// A link to a page of the same wiki.
    pub(super) fn to_page(is_page_name: bool) -> Self {
        Self {
            is_page_name,
            ..Self::default()
        }
    }

    /// The address, if it leads outside and the text on the link does not say it.
    /// Places in the same documents mean nothing outside of them.
    pub(super) fn address_to_tell(self) -> Option<String> {
        let address = self.address?;
        let address = address.trim();
        let (scheme, _) = address.split_once(':')?;
        let is_outside = ["http", "https", "mailto", "tel"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        let label = self.label.trim();
        let is_told = !is_outside
            || label.is_empty()
            || address.len() > MAX_ADDRESS_NUM_BYTES
            || core(label) == core(address)
            || (scheme.eq_ignore_ascii_case("tel") && digits(label) == digits(address));
        (!is_told).then(|| shown(address).to_owned())
    }
}

/// An address as people write it: what mail and telephones need no word for is
/// left out.
fn shown(address: &str) -> &str {
    let scheme = address.split(':').next().unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "mailto" | "tel" => {
            let rest = &address[scheme.len() + 1..];
            rest.split('?').next().unwrap_or(rest)
        }
        _ => address,
    }
}

/// What two spellings of an address share.
fn core(address: &str) -> String {
    let address = shown(address).to_lowercase();
    let core = ["https://", "http://"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme))
        .unwrap_or(&address);
    let core = core.strip_prefix("www.").unwrap_or(core);
    core.trim_end_matches('/').to_owned()
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// `Page#Part` as people read it.
pub(super) fn page_name(target: &str) -> String {
    let parts = target
        .split('#')
        .map(|part| part.trim().trim_start_matches('^'))
        .filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(" > ")
}

/// The name of an HTML tag in lower case, with the slash of an end tag.
pub(super) fn tag_name(tag: &str) -> String {
    let tag = tag.trim_start_matches('<');
    let end = tag
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_alphanumeric() || (*at == 0 && *c == '/')));
    let name = end.map_or(tag, |(at, _)| &tag[..at]);
    name.to_ascii_lowercase()
}

/// The value of an attribute of an HTML tag.
pub(super) fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let key = format!("{name}=");
    let at = lower.match_indices(&key).find(|(at, _)| {
        lower[..*at].ends_with(|c: char| c.is_ascii_whitespace() || c == '"' || c == '\'')
    })?;
    let value = &tag[at.0 + key.len()..];
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split([' ', '>', '\t', '\n']).next()?,
    };
    Some(value.replace("&amp;", "&").replace("&quot;", "\""))
}
