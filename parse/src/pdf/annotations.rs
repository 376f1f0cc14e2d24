//! What stands on a page without being drawn with it: values of form fields,
//! notes, and the addresses behind links.

use crate::spaces::single_spaced;
use pdfium_render::prelude::{
    PdfFormField, PdfFormFieldCommon, PdfPage, PdfPageAnnotation, PdfPageAnnotationCommon,
};

use super::glyphs::Area;

/// Most annotations of one page that are read.
const MAX_ANNOTATIONS: usize = 2_000;
/// Longest address; longer ones carry data.
const MAX_ADDRESS_BYTES: usize = 1_000;
/// Kinds of addresses that lead somewhere.
const SCHEMES: [&str; 5] = ["http://", "https://", "mailto:", "ftp://", "tel:"];

/// What is written into a field.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    /// Typed or chosen text.
    Text(String),
    /// A box or button that is ticked or not.
    Ticked(bool),
}

/// A form field on the page.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) area: Area,
    /// The last part of its name.
    pub(super) name: String,
    pub(super) value: Value,
}

/// A link to an address.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) area: Area,
    pub(super) address: String,
}

/// Everything that is attached to a page.
#[derive(Default, Debug)]
pub(super) struct Annotations {
    pub(super) fields: Vec<Field>,
    pub(super) links: Vec<Link>,
    /// What notes, drawn text and stamps say.
    pub(super) notes: Vec<String>,
}

impl Annotations {
    /// Whether some of it belongs to places on the page.
    pub(super) fn has_places(&self) -> bool {
        !self.fields.is_empty() || !self.links.is_empty()
    }
}

/// Reads the annotations that a reader of the page sees.
pub(super) fn read(page: &PdfPage<'_>) -> Annotations {
    let mut found = Annotations::default();
    let annotations = page.annotations();
    for index in 0..annotations.len().min(MAX_ANNOTATIONS) {
        let Ok(annotation) = annotations.get(index) else {
            continue;
        };
        if annotation.is_hidden() || annotation.is_printable_but_not_viewable() {
            continue;
        }
        let area = annotation.bounds().map(|bounds| Area::of(&bounds));
        let area = area.unwrap_or_default();
        match &annotation {
            PdfPageAnnotation::Link(link) => {
                let link = link.link().ok();
                let address = link.and_then(|link| link.action()).and_then(|action| {
                    let uri = action.as_uri_action()?;
                    uri.uri().ok()
                });
                let address = address.and_then(|address| telling(&address));
                found
                    .links
                    .extend(address.map(|address| Link { area, address }));
            }
            PdfPageAnnotation::Widget(_) | PdfPageAnnotation::XfaWidget(_) => {
                let field = annotation.as_form_field();
                found.fields.extend(field.and_then(|field| {
                    Some(Field {
                        area,
                        name: last_name(&field.name().unwrap_or_default()),
                        value: value(field)?,
                    })
                }));
            }
            // A pop-up shows what its note says; a redaction hides.
            PdfPageAnnotation::Popup(_) | PdfPageAnnotation::Redacted(_) => {}
            drawn => {
                let says = drawn.contents().unwrap_or_default();
                let says = says.trim();
                if says.is_empty() {
                    continue;
                }
                found.notes.push(match drawn {
                    PdfPageAnnotation::FreeText(_) | PdfPageAnnotation::Stamp(_) => says.to_owned(),
                    _ => format!("Note: {says}"),
                });
            }
        }
    }
    found
}

/// What the field holds; `None` if it is empty, secret, or holds nothing.
fn value(field: &PdfFormField<'_>) -> Option<Value> {
    let text = match field {
        PdfFormField::Text(field) if !field.is_password() => field.value(),
        PdfFormField::ComboBox(field) => chosen(field.options().iter()).or_else(|| field.value()),
        PdfFormField::ListBox(field) => chosen(field.options().iter()).or_else(|| field.value()),
        PdfFormField::Checkbox(field) => {
            return Some(Value::Ticked(is_on(
                field.appearance_stream(),
                field.group_value(),
            )));
        }
        PdfFormField::RadioButton(field) => {
            // Without a state of its own, nothing tells it from its neighbours.
            let state = field.appearance_stream();
            let ticked = match state {
                Some(_) => is_on(state, None),
                None => field.is_checked().unwrap_or(false) && field.group_value().is_some(),
            };
            return Some(Value::Ticked(ticked));
        }
        _ => None,
    };
    let text = text?;
    let text = single_spaced(&text);
    (!text.is_empty()).then_some(Value::Text(text))
}

/// A box is off in the state `Off` and on in any other, whatever its name.
fn is_on(state: Option<String>, value: Option<String>) -> bool {
    state.or(value).is_some_and(|state| {
        let state = state.trim_start_matches('/');
        !state.is_empty() && state != "Off"
    })
}

fn chosen(
    options: impl Iterator<Item = pdfium_render::prelude::PdfFormFieldOption>,
) -> Option<String> {
    let labels: Vec<String> = options
        .filter(|option| option.is_set())
        .filter_map(|option| option.label().cloned())
        .filter(|label| !label.trim().is_empty())
        .collect();
    (!labels.is_empty()).then(|| labels.join(", "))
}

/// `boat.owner[0]` is `owner`.
fn last_name(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    let last = last.split('[').next().unwrap_or(last);
    last.split(|c: char| c == '_' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn telling(address: &str) -> Option<String> {
    let address = address.trim();
    let lower = address.get(..8).unwrap_or(address).to_ascii_lowercase();
    let leads = SCHEMES.iter().any(|scheme| lower.starts_with(scheme));
    let whole = address.len() <= MAX_ADDRESS_BYTES && !address.contains(char::is_whitespace);
    (leads && whole).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_readable() {
        assert_eq!(last_name("form1[0].page.boat_owner[0]"), "boat owner");
        assert_eq!(last_name(""), "");
    }

    #[test]
    fn only_addresses_that_lead_somewhere_count() {
        assert!(telling("https://a.example/x").is_some());
        assert!(telling("MAILTO:a@b.example").is_some());
        assert!(telling("javascript:alert(1)").is_none());
        assert!(telling("#page=3").is_none());
        assert!(telling(&format!("https://{}", "x".repeat(5_000))).is_none());
    }

    #[test]
    fn any_state_but_off_is_on() {
        for (state, value, on) in [
            (Some("Yes"), None, true),
            (Some("/1"), None, true),
            (Some("Off"), Some("Yes"), false),
            (None, Some("On"), true),
            (None, Some("Off"), false),
            (None, None, false),
        ] {
            let found = is_on(state.map(str::to_owned), value.map(str::to_owned));
            assert_eq!(found, on, "{state:?} {value:?}");
        }
    }
}
