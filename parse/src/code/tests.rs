use super::languages::LANGUAGES;
use crate::testing::{headings, read};

#[test]
fn every_pattern_compiles_and_every_name_is_claimed_once() {
    let mut seen = std::collections::BTreeSet::new();
    for language in &LANGUAGES {
        let _ = &*language.definition;
        for name in language.names {
            assert!(seen.insert(name), "{name} twice");
        }
    }
    assert!(seen.len() > 100);
}

#[test]
fn rust_definitions_are_sections() {
    let code = "//! Reads things, carefully.\n\nuse std::io;\n\n/// A thing.\n#[derive(Debug)]\n\
                pub(crate) struct Thing<T> {\n    x: T,\n}\n\nimpl<T> Thing<T> {\n    /// Makes one.\n    \
                pub const fn new(x: T) -> Self {\n        Self { x }\n    }\n}\n\nmod tests;\n\nfn last() {}\n";
    let document = read("src/thing.rs", code);
    assert_eq!(document.text, code.trim_end());
    assert_eq!(document.title, "thing.rs");
    assert_eq!(
        headings(&document),
        [
            (1, "struct Thing"),
            (1, "impl<T> Thing<T>"),
            (2, "fn new"),
            (1, "fn last")
        ]
    );
    let text = |i: usize| &document.text[document.sections[i].span.clone()];
    assert!(text(0).starts_with("/// A thing."));
    assert!(text(1).ends_with("mod tests;\n\n") && text(2).starts_with("    /// Makes one."));
    assert_eq!(document.metadata["programming_language"], "rust");
    assert_eq!(document.metadata["description"], "Reads things, carefully.");
    assert_eq!(document.metadata["format"], "code");
}

#[test]
fn definitions_of_other_languages() {
    for (name, code, expected) in [
        (
            "a.py",
            "\"\"\"Tools for a test.\n\nMore.\n\"\"\"\n@dec\nclass A(B):\n    def f(self):\n        if (x):\n            pass\n\nasync def g(): pass\n",
            &[(1, "class A"), (2, "def f"), (1, "def g")][..],
        ),
        (
            "a.js",
            "export class A {\n  get b() {\n    if (x) {\n    }\n  }\n}\nconst f = async (x) => x\nfunction* g() {}\n",
            &[(1, "class A"), (2, "b"), (1, "const f"), (1, "function* g")],
        ),
        (
            "a.go",
            "type T struct {\n}\n\nfunc (t *T) Do(x int) error {\n\tif f(x) {\n\t}\n}\n",
            &[(1, "type T"), (1, "func (t *T) Do")],
        ),
        (
            "A.java",
            "public final class A {\n    private static List<String> f(int x) {\n        return g(x);\n    }\n}\n",
            &[(1, "class A"), (2, "f")],
        ),
        (
            "a.c",
            "#include <x.h>\nstatic int\nadd(int a, int b)\n{\n    if (a) {\n    }\n}\nint x = f(1);\nstruct s {\n};\n",
            &[(1, "add"), (1, "struct s")],
        ),
        (
            "a.cpp",
            "namespace n {\nclass A : B {\n  A();\n};\n}\nvoid A::f(int x) const {\n}\n",
            &[(1, "namespace n"), (1, "class A"), (1, "A::f")],
        ),
        (
            "a.sh",
            "#!/bin/sh\nrun() {\n  x\n}\nfunction go-on {\n}\n",
            &[(1, "run"), (1, "function go-on")],
        ),
        (
            "a.sql",
            "CREATE TABLE IF NOT EXISTS t (\n x int);\n",
            &[(1, "CREATE TABLE IF NOT EXISTS t")],
        ),
        (
            "Cargo.toml",
            "[package]\nname = \"x\"\n\n[[bin]]\n",
            &[(1, "[package]"), (1, "[[bin]]")],
        ),
        (
            "Makefile",
            "all: x\nX := 1\nx.o: x.c\n\tcc\n",
            &[(1, "all"), (1, "x.o")],
        ),
    ] {
        let document = read(name, code);
        assert_eq!(headings(&document), expected, "{name}");
    }
}

#[test]
fn scripts_are_known_by_their_interpreter() {
    let document = read(
        "bin/tool",
        "#!/usr/bin/env python3\ndef main():\n    pass\n",
    );
    assert_eq!(document.metadata["programming_language"], "python");
    assert_eq!(headings(&document), [(1, "def main")]);
}

#[test]
fn licences_are_no_description() {
    let document = read("a.c", "/* Copyright 2020 Someone and more. */\nint x;\n");
    assert!(!document.metadata.contains_key("description"));
}

#[test]
fn bundles_and_search_indexes_are_left_out() {
    let bundle = format!("var index={{{}}};", "\"word\":[1,2,3],".repeat(2_000));
    let error = crate::testing::read_err("searchindex.js", &bundle);
    assert_eq!(error.kind(), crate::ErrorKind::Unsupported, "{error}");
    let long = "let x = 1;\n".repeat(4_000);
    assert_eq!(read("long.js", &long).text.lines().count(), 4_000);
}
