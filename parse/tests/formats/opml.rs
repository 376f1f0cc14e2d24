//! What the reader of a document sees is what is read of it.

use crate::read;

#[test]
fn a_document_of_a_real_program_reads_as_it_is_shown() {
    let document = read("harbour.opml", include_bytes!("../fixtures/harbour.opml"));
    assert_eq!(document.title, "Harbour guide");
    let text = r#"Mooring

1.  Slow down.
2.  Throw the line.
    - the thin one
    - the thick one

> Never stand in a loop.

Lines

``` python
def tie(knot):
    # a comment
    return knot * 2
```

  Knot           Load (kN)
  -------------- -----------
  Bowline        12
  Sheet *bend*   8

Term one
:   Its meaning.

Options
:   `-f`, *FILE*

Water is H~2~O, and x^2^ --- dash. ![A crane](crane.png) A note.[^1]
\*not bold\* a_b_c {curly}

[^1]: The note itself."#;
    assert_eq!(document.text, text);
}

#[test]
fn feeds_are_items_with_their_addresses() {
    let body = "<opml version='2.0'><head><title>Feeds</title></head><body><outline text='News'>\
                <outline type='rss' text='Tide' xmlUrl='https://tide.example/f'/></outline></body></opml>";
    let document = read("feeds", body);
    assert_eq!(document.metadata["format"], "opml");
    assert_eq!(document.title, "Feeds");
    assert_eq!(document.text, "News\n\n- Tide (https://tide.example/f)");
}
