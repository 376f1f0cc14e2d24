//! `docs/configuration.md` says what `config/default.toml` says.

use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# Configuration reference

Every setting with its default and its meaning. [operations.md](operations.md#configuration) says
how files, environment variables and flags override each other. This page is generated from
[config/default.toml](../config/default.toml) by `CAIRN_PAGES=write cargo test --workspace --test
integration configuration::`.
";

/// Settings, each with its default, and the comment above them.
type Row<'a> = (Vec<(&'a str, &'a str)>, Vec<&'a str>);

/// A table of the file.
#[derive(Default)]
struct Section<'a> {
    name: &'a str,
    /// Comments above the table, with a comment sign before each line.
    above: Vec<&'a str>,
    /// Settings that follow one comment, with the comment.
    rows: Vec<Row<'a>>,
    /// Comments that no setting follows.
    below: Vec<Vec<&'a str>>,
}

fn sections(file: &str) -> Vec<Section<'_>> {
    let mut sections = vec![Section::default()];
    let mut comment = Vec::new();
    for line in file.lines().chain([""]) {
        let section = sections.last_mut().unwrap();
        if line.starts_with('#') {
            comment.push(line);
        } else if line.starts_with('[') {
            sections.push(Section {
                name: line.trim_matches(['[', ']']),
                above: std::mem::take(&mut comment),
                ..Section::default()
            });
        } else if let Some(setting) = line.split_once(" = ") {
            match section.rows.last_mut() {
                Some((settings, _)) if comment.is_empty() => settings.push(setting),
                _ => section
                    .rows
                    .push((vec![setting], std::mem::take(&mut comment))),
            }
        } else {
            assert!(line.is_empty(), "a value of several lines: {line:?}");
            if !comment.is_empty() {
                section.below.push(std::mem::take(&mut comment));
            }
        }
    }
    sections
}

/// What a comment says, and whether that is TOML.
fn uncommented(line: &str) -> (&str, bool) {
    let text = line.trim_start_matches('#');
    let text = text.strip_prefix(' ').unwrap_or(text);
    let key = text.split_once(" = ").map_or("", |(key, _)| key);
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (text, is_key || text.starts_with(['[', ']', ' ']))
}

/// Prose and examples as Markdown.
fn prose(comment: &[&str]) -> String {
    let lines: Vec<_> = comment.iter().map(|line| uncommented(line)).collect();
    let example = lines.iter().position(|(_, toml)| *toml);
    let (text, example) = lines.split_at(example.unwrap_or(lines.len()));
    let mut page = String::new();
    for (text, _) in text {
        writeln!(page, "{text}").unwrap();
    }
    if !example.is_empty() {
        page.push_str("\n```toml\n");
        for (text, toml) in example {
            let sign = if *toml || text.is_empty() { "" } else { "# " };
            writeln!(page, "{sign}{text}").unwrap();
        }
        page.push_str("```\n");
    }
    page
}

/// The same in a cell of a table.
fn cell(comment: &[&str]) -> String {
    let lines = comment.iter().map(|line| match uncommented(line) {
        (text, true) => format!("`{text}`"),
        (text, false) => text.to_owned(),
    });
    lines.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn page(file: &str) -> String {
    let mut page = HEAD.to_owned();
    // What stands above the first table is of the file, not of a setting.
    for section in &sections(file)[1..] {
        write!(page, "\n## `[{}]`\n", section.name).unwrap();
        if !section.above.is_empty() {
            write!(page, "\n{}", prose(&section.above)).unwrap();
        }
        if !section.rows.is_empty() {
            page.push_str("\n| setting | default | meaning |\n|---|---|---|\n");
        }
        for (settings, comment) in &section.rows {
            let names = settings.iter().map(|(name, _)| format!("`{name}`"));
            let values = settings.iter().map(|(_, value)| format!("`{value}`"));
            let [names, values] = [names.collect(), values.collect()]
                .map(|cells: Vec<String>| cells.join("<br>").replace('|', "\\|"));
            writeln!(page, "| {names} | {values} | {} |", cell(comment)).unwrap();
        }
        for comment in &section.below {
            write!(page, "\n{}", prose(comment)).unwrap();
        }
    }
    page
}

#[test]
fn the_page_says_what_the_file_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(root.join("config/default.toml")).unwrap();
    let made = page(&file);
    let path = root.join("docs/configuration.md");
    if std::env::var_os("CAIRN_PAGES").is_some_and(|value| value == "write") {
        std::fs::write(&path, &made).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == made,
        "docs/configuration.md is not that of config/default.toml; CAIRN_PAGES=write writes it"
    );
    // Each setting is there, under its own table.
    let settings = file.lines().filter(|line| !line.starts_with(['#', '[']));
    let settings = settings.filter(|line| line.contains(" = ")).count();
    let rows = sections(&file).into_iter().flat_map(|section| section.rows);
    assert_eq!(
        rows.map(|(settings, _)| settings.len()).sum::<usize>(),
        settings
    );
}

#[test]
fn comments_become_rows_paragraphs_and_examples() {
    let file = "# Above.\n\n# Of both.\n[a.b]\n# One,\n# two.\nx = 1\ny = \"a|b\"\n\n\
        # Such as:\n# [[c]]\n# name = \"n\"  # why\n#\n# Or else:\n# targets = [\n#   1,\n# ]\n";
    let made = page(file);
    let body = made.strip_prefix(HEAD).unwrap();
    let expected = "\n## `[a.b]`\n\nOf both.\n\n| setting | default | meaning |\n\
        |---|---|---|\n| `x`<br>`y` | `1`<br>`\"a\\|b\"` | One, two. |\n\nSuch as:\n\n\
        ```toml\n[[c]]\nname = \"n\"  # why\n\n# Or else:\ntargets = [\n  1,\n]\n```\n";
    assert_eq!(body, expected);
}
