use super::super::holding;
use super::super::segments::segments;
use super::*;

/// The unit of the first segment that contains `needle`, as its parts.
fn unit<'t>(text: &'t str, needle: &str) -> (Shape, Vec<&'t str>, Option<&'t str>, Vec<&'t str>) {
    let found = segments(text, &[]);
    let unit = Composer::new(text, &found, false).unit(holding(text, &found, needle), false);
    let str = |&at: &usize| &text[found[at].range.clone()];
    (
        unit.shape,
        unit.terms.iter().map(str).collect(),
        unit.lead.as_ref().map(str),
        unit.body.iter().map(str).collect(),
    )
}

#[test]
fn an_option_with_its_description() {
    let html = "OPTIONS\n\n-f\n--force\n\nDo it all the same. Twice is worse.\n\n-n\n\nDo nothing.";
    assert_eq!(
        unit(html, "all the same"),
        (
            Shape::Prose,
            vec!["-f", "--force"],
            None,
            vec!["Do it all the same."]
        )
    );
    assert_eq!(unit(html, "Twice").1, ["-f", "--force"]);
    assert_eq!(unit(html, "-f").3, ["Do it all the same."]);
    let page = "   dir.hide\n      hides what begins with a dot\n\n      Default: enabled\n\n   dir.show\n      shows it.\n\nThe end is near.";
    assert_eq!(unit(page, "Default").1, ["dir.hide"]);
    assert_eq!(unit(page, "The end").1, Vec::<&str>::new());
}

#[test]
fn code_with_what_introduces_it() {
    let text = "To list everything: ::\n\n  dir.activate = \"enable\"\n\nMore.";
    assert_eq!(
        unit(text, "activate"),
        (
            Shape::Code,
            vec![],
            Some("To list everything: ::"),
            vec!["dir.activate = \"enable\""]
        )
    );
    assert_eq!(unit(text, "To list").0, Shape::Code);
}

#[test]
fn settings_that_are_introduced_are_shown_from_their_section_on() {
    let text = "Put the endpoint into the file:\n\n[answer]\nprovider = \"mine\"\n\n\
                [[providers]]\nname = \"mine\"\n\nThen trust it.";
    let lines = [
        "[answer]",
        "provider = \"mine\"",
        "[[providers]]",
        "name = \"mine\"",
    ];
    let (shape, _, lead, body) = unit(text, "Put the endpoint");
    assert_eq!(
        (shape, lead),
        (Shape::Code, Some("Put the endpoint into the file:"))
    );
    assert_eq!(body, lines);
}

#[test]
fn a_setting_with_its_comment() {
    let mut text = String::new();
    for at in 0..9 {
        text.push_str(&format!("# About {at}.\nkey_{at} = {at}\n"));
    }
    assert_eq!(unit(&text, "key_4").3, ["# About 4.", "key_4 = 4"]);
    assert_eq!(unit(&text, "About 5").3, ["# About 5.", "key_5 = 5"]);
}

#[test]
fn a_row_with_its_columns() {
    let text = "Limits:\n\n| what | most |\n|---|---|\n| files | 5 |\n| bytes | 7 |\n";
    assert_eq!(
        unit(text, "bytes"),
        (
            Shape::Table,
            vec![],
            Some("Limits:"),
            vec!["| what | most |", "| bytes | 7 |"]
        )
    );
}

#[test]
fn a_list_with_its_beginning() {
    let text =
        "So far we have\n\nIt offers these:\n\n * one\n * two\n * three\n\nThe rest is text.";
    assert_eq!(
        unit(text, "offers"),
        (
            Shape::List,
            vec![],
            Some("It offers these:"),
            vec!["* one", "* two", "* three"]
        )
    );
    assert_eq!(unit(text, "two").3, ["* two"]);
    let found = segments(text, &[]);
    let whole = Composer::new(text, &found, false).unit(3, true);
    assert_eq!(whole.body.len(), 3);
    let names = "The escapings are:\n\n@text:\n\n@json:\n\n@html:\n\nThis goes on for long.";
    assert_eq!(unit(names, "escapings").3.len(), 3);
}

#[test]
fn the_names_of_columns_are_known() {
    let text = "Two variables:\n\nVariable | What it holds\nBB_TOKEN | the token\nBB_USER | the user\n\n\
                start | the server begins\nstop | it ends\n\nOne | Two\n\nEnd.";
    let found = segments(text, &[]);
    let composer = Composer::new(text, &found, false);
    let names: Vec<&str> = (0..found.len())
        .filter(|&at| composer.names_columns(at))
        .map(|at| &text[found[at].range.clone()])
        .collect();
    assert_eq!(names, ["Variable | What it holds"]);
}
