//! What a document is called that does not say it.

use super::one_line;
use crate::document::Section;

/// Names without extension that many folders have a file of: the folder tells what it is.
const OF_THE_FOLDER: [&str; 4] = ["readme", "index", "_index", "read-me"];

/// The heading above all of the text. Of several that are equal below the top, none is:
/// a page that begins with `## Benchmarks` and goes on with `## Licence` is about neither.
pub(super) fn of_sections(sections: &[Section]) -> Option<String> {
    let least = sections.iter().map(|section| section.level).min()?;
    let mut top = sections.iter().filter(|section| section.level == least);
    let first = top.next()?;
    let is_title = least == 1 || first.span.start == 0 && top.next().is_none();
    is_title.then(|| first.heading.clone())
}

/// The name of the file, or of the folder around a README or an index of prose.
pub(super) fn of_file(uri: &str, name: &str, is_prose: bool) -> String {
    let stem = name.split('.').next().unwrap_or(name).to_lowercase();
    let is_of_folder = is_prose && OF_THE_FOLDER.contains(&stem.as_str());
    let folder = is_of_folder.then(|| folder(uri)).flatten();
    let title = one_line(folder.unwrap_or(name));
    match title.is_empty() {
        true => "untitled".into(),
        false => title,
    }
}

/// The last folder of a path, or the host of an address.
fn folder(uri: &str) -> Option<&str> {
    let path = uri.split(['?', '#']).next()?;
    let mut parts = path.rsplit(['/', '\\']);
    parts.next();
    let folder = parts.next()?;
    (!folder.is_empty() && !folder.ends_with(':') && folder != ".").then_some(folder)
}

#[cfg(test)]
mod tests {
    use crate::testing::read;

    #[test]
    fn the_heading_above_all_is_the_title() {
        for (text, title) in [
            ("# Tide\n\n## Use\n\ntext", "Tide"),
            ("## Use\n\ntext\n\n# Tide\n\ntext", "Tide"),
            ("## Tide\n\n### Use\n\ntext\n\n### Test\n\ntext", "Tide"),
            ("## Use\n\ntext\n\n## Test\n\ntext", "guide.md"),
            ("Words first.\n\n## Benchmarks\n\ntext", "guide.md"),
            ("Words only.", "guide.md"),
        ] {
            assert_eq!(read("docs/guide.md", text).title, title, "{text}");
        }
    }

    #[test]
    fn a_readme_without_a_title_is_called_like_its_folder() {
        let text = "Words.\n\n## Benchmarks\n\ntext";
        for (uri, title) in [
            ("tide/README.md", "tide"),
            ("lib/tide/readme", "tide"),
            ("README.md", "README.md"),
            ("./README.md", "README.md"),
            ("tide/index.md", "tide"),
            ("https://tide.example/index.html", "tide.example"),
            ("https://tide.example/docs/index.html?lang=de/at", "docs"),
            ("tide/reader.md", "reader.md"),
        ] {
            assert_eq!(read(uri, text).title, title, "{uri}");
        }
        assert_eq!(read("tide/index.js", "let a = 1;").title, "index.js");
        assert_eq!(
            read("tide/README.md", "# Tide tables\n\ntext").title,
            "Tide tables"
        );
    }
}
