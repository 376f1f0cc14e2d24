//! The properties that chunks have for every text, tokenizer and setting.

use cairn_models::testing::HashEmbedder;
use cairn_models::{Cancel, Embedder, TokenSpans};
use proptest::prelude::*;

use super::*;
use crate::{Page, Section};
use cairn_parse::Table;

/// WordPiece in small: words of more than four characters are several tokens,
/// the later ones continuing the first, as `##` does; the window is short, and
/// some characters are two tokens of the same span.
struct Pieces;

impl Embedder for Pieces {
    fn id(&self) -> &str {
        "pieces"
    }
    fn dimension(&self) -> usize {
        4
    }
    fn window(&self) -> usize {
        64
    }
    fn special_tokens(&self) -> usize {
        2
    }
    fn token_spans(&self, text: &str) -> cairn_models::Result<TokenSpans> {
        let mut spans = TokenSpans::new();
        for word in HashEmbedder.token_spans(text)? {
            if text[word.clone()].starts_with('ß') {
                spans.push(word.start..word.start + 'ß'.len_utf8());
            }
            let mut characters: Vec<_> = text[word.clone()]
                .char_indices()
                .map(|(at, _)| at)
                .collect();
            characters.push(word.len());
            for piece in characters.chunks(4) {
                let end = characters.iter().find(|&&at| at > *piece.last().unwrap());
                if piece[0] < word.len() {
                    let end = end.copied().unwrap_or(word.len());
                    spans.push(word.start + piece[0]..word.start + end);
                }
            }
        }
        Ok(spans)
    }
    fn embed(&self, texts: &[&str], _: &Cancel) -> cairn_models::Result<Vec<Vec<f32>>> {
        Ok(vec![vec![1.0, 0.0, 0.0, 0.0]; texts.len()])
    }
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-zäß]{1,9}",
        2 => "[A-Z][a-z]{2,14}\\. ",
        1 => Just("\n\n".to_owned()),
        1 => Just("\n# Heading\n".to_owned()),
        1 => "[\u{4e00}-\u{4e20}。]{1,6}",
        1 => "[a-z]{90,130}",
        1 => "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..160).prop_map(|pieces| {
        let mut text = String::new();
        for (at, piece) in pieces.iter().enumerate() {
            text.push_str(piece);
            if at % 3 != 0 {
                text.push(' ');
            }
        }
        text
    })
}

fn document(text: String) -> Document {
    let starts: Vec<_> = text.match_indices("# Heading").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let sections = starts
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(number, (&start, end))| Section {
            heading: format!("Heading {number}"),
            level: 1,
            span: start..end,
        });
    Document {
        uri: "test".into(),
        title: "A title of some words".into(),
        sections: sections.collect(),
        text,
        ..Document::default()
    }
}

fn settings() -> impl Strategy<Value = IndexSettings> {
    (20_usize..80, 0_usize..10, 16_usize..100, any::<bool>()).prop_map(
        |(chunk_tokens, chunk_overlap, embed_window, context)| IndexSettings {
            chunk_tokens,
            chunk_overlap,
            embed_window,
            context,
            ..IndexSettings::default()
        },
    )
}

/// Position in `spans` of the token that starts at `byte`.
fn token(spans: &TokenSpans, byte: usize) -> Option<usize> {
    spans.iter().position(|span| span.start == byte)
}

proptest! {
    #[test]
    fn spans_cover_the_text_and_overlap_exactly(text in text(), settings in settings()) {
        let document = document(text);
        let grid = Grid::new(&document.text, &Pieces, &Cancel::never()).unwrap();
        let pieces = chunk(&document, &Pieces, &settings, &Cancel::never()).unwrap();
        let spans = Pieces.token_spans(&document.text).unwrap();
        let mut covered = 0;
        for (at, piece) in pieces.iter().enumerate() {
            let span = piece.chunk.span.clone();
            prop_assert_eq!(piece.chunk.ordinal as usize, at);
            prop_assert_eq!(&document.text[span.clone()], &piece.chunk.text);
            prop_assert!(span.start <= covered && covered < span.end);
            prop_assert!(piece.chunk.token_count as usize <= settings.chunk_tokens - 2);
            if at > 0 {
                let (start, end) = (grid.token_at(span.start), grid.token_at(covered));
                // Only a character that is several tokens makes it larger.
                let extra = end - start - settings.chunk_overlap;
                prop_assert!(extra == 0 || !grid.divides(end - settings.chunk_overlap));
                prop_assert!(token(&spans, span.start).is_some() || grid.len() > spans.len());
            }
            covered = span.end;
        }
        prop_assert_eq!(covered, document.text.len());
    }

    #[test]
    fn every_token_is_inside_some_embedded_input(text in text(), settings in settings()) {
        let document = document(text);
        let grid = Grid::new(&document.text, &Pieces, &Cancel::never()).unwrap();
        let pieces = chunk(&document, &Pieces, &settings, &Cancel::never()).unwrap();
        let window = settings.embed_window.min(Pieces.window()) - 2;
        let mut seen = vec![false; grid.len()];
        for piece in &pieces {
            let mut from = piece.chunk.span.start;
            for input in &piece.inputs {
                // The input is the context, a line end, and a part of the text.
                let at = (0..=input.len())
                    .filter(|&at| input.is_char_boundary(at))
                    .find(|&at| {
                        let part = &input[at..];
                        document.text[from..].starts_with(part)
                            && from + part.len() <= piece.chunk.span.end
                            && (at == 0 || input.as_bytes()[at - 1] == b'\n')
                            && (piece.inputs.len() > 1 || from + part.len() == piece.chunk.span.end)
                    });
                let at = at.expect("an input ends with text of its chunk");
                let part = &input[at..];
                let head = Pieces.token_spans(&input[..at]).unwrap().len();
                let first = grid.token_at(from);
                let last = grid.token_at(from + part.len());
                let visible = last.min(first + window.saturating_sub(head));
                seen[first..visible].fill(true);
                from += part.len();
            }
        }
        prop_assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn the_same_input_gives_the_same_chunks(text in text(), settings in settings()) {
        let document = document(text);
        let first = chunk(&document, &Pieces, &settings, &Cancel::never()).unwrap();
        let second = chunk(&document, &Pieces, &settings, &Cancel::never()).unwrap();
        prop_assert_eq!(first.len(), second.len());
        for (a, b) in first.iter().zip(&second) {
            prop_assert_eq!(&a.chunk, &b.chunk);
            prop_assert_eq!(&a.inputs, &b.inputs);
        }
    }
}

fn words(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("w{n} ")).collect()
}

fn small() -> IndexSettings {
    IndexSettings {
        chunk_tokens: 42,
        chunk_overlap: 5,
        context: false,
        ..IndexSettings::default()
    }
}

fn first_end(text: &str, sections: Vec<Section>) -> usize {
    let document = Document {
        text: text.into(),
        sections,
        ..Document::default()
    };
    chunk(&document, &HashEmbedder, &small(), &Cancel::never()).unwrap()[0]
        .chunk
        .span
        .end
}

#[test]
fn the_best_boundary_of_the_last_quarter_wins() {
    // 40 tokens fit; the last quarter is the cuts in front of tokens 30 to 40.
    let head = words(0..32);
    let plain = format!("{head}{}", words(32..80));
    assert_eq!(first_end(&plain, vec![]), words(0..40).len());
    let line = format!("{}\n{}", words(0..35).trim_end(), words(35..80));
    assert_eq!(first_end(&line, vec![]), words(0..35).len());
    let sentence = format!("{head}end. {}\n{}", words(33..36).trim_end(), words(36..80));
    assert_eq!(first_end(&sentence, vec![]), head.len() + "end. ".len());
    let paragraph = format!(
        "{}\n\n{}end. {}",
        words(0..31),
        words(31..33),
        words(34..80)
    );
    assert_eq!(first_end(&paragraph, vec![]), words(0..31).len() + 2);
    // A heading wins over all of them, wherever it is in the quarter.
    let start = paragraph.find("w32").unwrap();
    let section = Section {
        heading: "w32".into(),
        level: 1,
        span: start..paragraph.len(),
    };
    assert_eq!(first_end(&paragraph, vec![section]), start);
    // A paragraph before the last quarter does not count.
    let early = format!("{}\n\n{}", words(0..29).trim_end(), words(29..80));
    assert_eq!(first_end(&early, vec![]), words(0..40).len() + 1);
}

#[test]
fn chunks_know_their_headings_and_pages() {
    let first = format!("Intro\n{}", words(0..30));
    let second = format!("Part\n{}", words(30..75));
    let text = format!("{first}{second}");
    let section = |heading: &str, level, span| Section {
        heading: heading.into(),
        level,
        span,
    };
    let document = Document {
        title: "Book".into(),
        sections: vec![
            section("Book", 1, 0..text.len()),
            section("Intro", 2, 0..first.len()),
            section("Part", 2, first.len()..text.len()),
        ],
        pages: vec![
            Page {
                number: 7,
                span: 0..first.len(),
            },
            Page {
                number: 8,
                span: first.len()..text.len(),
            },
        ],
        text,
        ..Document::default()
    };
    let settings = IndexSettings {
        context: true,
        ..small()
    };
    let pieces = chunk(&document, &HashEmbedder, &settings, &Cancel::never()).unwrap();
    let paths: Vec<_> = pieces
        .iter()
        .map(|piece| piece.chunk.heading_path.join("/"))
        .collect();
    assert_eq!(paths, ["Intro", "Part", "Part"]);
    let pages: Vec<_> = pieces.iter().map(|piece| piece.chunk.page).collect();
    // The second chunk begins with the overlap, on the page before.
    assert_eq!(pages, [Some(7), Some(7), Some(8)]);
    let chunk = &pieces[1].chunk;
    let [next] = &chunk.page_starts[..] else {
        panic!("{:?}", chunk.page_starts);
    };
    assert_eq!(
        (next.number, chunk.span.start + next.start),
        (8, first.len())
    );
    assert!(pieces[2].chunk.page_starts.is_empty());
    // Its own text opens with its heading, which is not put before it again.
    let contexts: Vec<_> = pieces.iter().map(|piece| piece.context.as_str()).collect();
    assert_eq!(contexts, ["Book", "Book", "Book\nPart"]);
    assert!(pieces[2].inputs[0].starts_with("Book\nPart\nw"));
}

#[test]
fn a_long_context_is_cut_to_its_budget() {
    let document = Document {
        title: words(0..500),
        text: words(500..1400),
        ..Document::default()
    };
    let pieces = chunked(&document);
    let (context, _) = pieces[0].inputs[0].split_once('\n').unwrap();
    assert_eq!(context, words(0..CONTEXT_TOKENS).trim_end());
    assert_eq!(pieces[0].context, words(0..500).trim_end());
    assert_eq!(pieces[0].chunk.token_count, 510);
    // The last one leaves room for the context.
    let last = pieces.last().unwrap();
    assert!(last.chunk.token_count as usize + CONTEXT_TOKENS <= 510);
}

/// The chunks of a document by default.
fn chunked(document: &Document) -> Vec<Piece> {
    let settings = IndexSettings::default();
    chunk(document, &HashEmbedder, &settings, &Cancel::never()).unwrap()
}

#[test]
fn chunks_know_the_code_in_them() {
    let (before, code, after) = (words(0..600), words(600..1500), words(1500..1600));
    let blocks = vec![
        before.len()..before.len() + code.len(),
        before.len() + code.len() + 7..before.len() + code.len() + 11,
    ];
    let document = Document {
        title: "Code".into(),
        text: before + &code + &after,
        code_blocks: blocks.clone(),
        ..Document::default()
    };
    let pieces = chunked(&document);
    assert!(pieces.len() > 2);
    for Piece { chunk, .. } in &pieces {
        let whole = |block: &std::ops::Range<usize>| {
            block.start + chunk.span.start..block.end + chunk.span.start
        };
        let found: Vec<_> = chunk.code_blocks.iter().map(whole).collect();
        let common = |block: &std::ops::Range<usize>| {
            block.start.max(chunk.span.start)..block.end.min(chunk.span.end)
        };
        let wanted: Vec<_> = blocks
            .iter()
            .map(common)
            .filter(|b| !b.is_empty())
            .collect();
        assert_eq!(found, wanted);
    }
    assert!(pieces[0].chunk.code_blocks.is_empty());
    assert!(
        pieces[1..]
            .iter()
            .all(|piece| !piece.chunk.code_blocks.is_empty())
    );
}

#[test]
fn chunks_that_begin_inside_a_table_name_its_columns() {
    let rows: String = (0..60).map(|n| format!("k{n} | shed{n} | 3\n")).collect();
    let head = "Before.\n\nKey | Kept in | Copies\n";
    let text = format!("{head}{rows}\n{}", words(0..120));
    let table = Table {
        columns: "Key | Kept in | Copies".into(),
        span: "Before.\n\n".len()..head.len() + rows.len() - 1,
    };
    let end = table.span.end;
    let document = Document {
        title: "Keys".into(),
        tables: vec![table],
        text,
        ..Document::default()
    };
    for context in [true, false] {
        let settings = IndexSettings { context, ..small() };
        let pieces = chunk(&document, &HashEmbedder, &settings, &Cancel::never()).unwrap();
        for piece in &pieces {
            let start = piece.chunk.span.start;
            let inside = start > 0 && start < end;
            assert_eq!(
                piece.chunk.columns.as_deref(),
                inside.then_some("Key | Kept in | Copies")
            );
            let says = piece.inputs[0].starts_with("Keys\nKey | Kept in | Copies\n");
            assert_eq!(says, inside && context);
        }
        let inside = pieces.iter().filter(|piece| piece.chunk.columns.is_some());
        assert!(inside.count() > 3 && pieces.last().unwrap().chunk.columns.is_none());
    }
}

#[test]
fn text_without_tokens_is_one_chunk_and_no_text_is_none() {
    let document = Document {
        text: " \n\t ".into(),
        ..Document::default()
    };
    let pieces = chunk(&document, &HashEmbedder, &small(), &Cancel::never()).unwrap();
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].chunk.span, 0..4);
    let document = Document {
        title: "x".into(),
        ..Document::default()
    };
    assert!(
        chunk(&document, &HashEmbedder, &small(), &Cancel::never())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn pooled_windows_have_length_one() {
    let pooled = pool(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    assert!((pooled[0] - 0.5_f32.sqrt()).abs() < 1e-6 && pooled[0] == pooled[1]);
    assert_eq!(pool(&[vec![1.0, 0.0], vec![-1.0, 0.0]]), [1.0, 0.0]);
}

#[test]
fn the_hash_depends_on_what_is_embedded_alone() {
    let text = |title: &str, uri: &str| {
        let document = Document {
            uri: uri.into(),
            title: title.into(),
            text: words(0..10),
            ..Document::default()
        };
        chunked(&document)[0].hash
    };
    assert_eq!(text("a", "x"), text("a", "y"));
    assert_ne!(text("a", "x"), text("b", "x"));
}

#[test]
fn cutting_a_long_document_can_be_cancelled() {
    let document = Document {
        text: "x".repeat(200_000),
        ..Document::default()
    };
    let cancel = Cancel::default();
    cancel.cancel();
    let error = chunk(&document, &HashEmbedder, &small(), &cancel).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Cancelled);
}
