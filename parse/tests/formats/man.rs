//! What the reader of a document sees is what is read of it.

use crate::read;

#[test]
fn a_document_of_a_real_program_reads_as_it_is_shown() {
    let document = read("harbour.1", include_bytes!("../fixtures/harbour.1"));
    assert_eq!(document.title, "Harbour guide");
    let text = r#"Ships may enter at high tide only. Call radio 12 first; see the tables <https://tide.example/t> and <https://tide.example/x>.

Mooring

1. Slow down.
2. Throw the line.
- the thin one
- the thick one

Never stand in a loop.

Lines

def tie(knot):
    # a comment
    return knot * 2

Knot | Load (kN)
Bowline | 12
Sheet bend | 8

Term one
    Its meaning.

Options
    -f, FILE

Water is H~2~O, and x^2^ — dash. [IMAGE: A crane] A note.[1] *not bold* a_b_c {curly}

NOTES

[1]

The note itself.

AUTHORS

Ann Lee."#;
    assert_eq!(document.text, text);
}

#[test]
fn logs_with_numbers_are_no_manuals() {
    let document = read("daemon.1", "May 1 started\n.TH is not at work here\n");
    assert_eq!(document.metadata["format"], "text");
    assert!(cairn_parse::is_known_name("ls.1.gz"));
}

#[test]
fn mdoc_shows_options_with_their_descriptions() {
    let page = ".\\\" remark\n.Dd May 1, 2024\n.Dt MOOR 1\n.Os\n.Sh NAME\n.Nm moor\n.Nd tie a ship\n\
                .Sh SYNOPSIS\n.Nm\n.Op Fl fv\n.Op Fl k Ar knot\n.Ar ship ...\n.Sh OPTIONS\n.Bl -tag -width Ds\n\
                .It Fl k Ar knot\nThe\n.Em knot ;\nsee\n.Xr knots 5 .\n.It Fl v\nSay more.\n.El\n";
    let document = read("moor.1", page);
    assert_eq!(document.title, "moor(1) – tie a ship");
    assert_eq!(
        document.text,
        "NAME\n\nmoor – tie a ship\n\nSYNOPSIS\n\nmoor [-fv] [-k knot] ship ...\n\nOPTIONS\n\n\
         -k knot\n    The knot; see knots(5).\n\n-v\n    Say more."
    );
}
