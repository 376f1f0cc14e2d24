//! The languages that Cairn knows, and how a definition looks in each.
//!
//! Light patterns, one line at a time: they find where a definition starts and
//! what it is called, not what it means. The first group that matches is the
//! heading.

use std::sync::LazyLock;

use regex::Regex;

use crate::format::extension;

/// A programming or configuration language.
pub(super) struct Language {
    /// Its name in `metadata.programming_language`.
    pub(super) name: &'static str,
    /// Extensions and whole file names in lower case.
    pub(super) names: &'static [&'static str],
    /// How a definition looks; `None` if there is none.
    pub(super) definition: LazyLock<Option<Regex>>,
}

macro_rules! language {
    ($name:literal, [$($names:literal),*]) => {
        Language {
            name: $name,
            names: &[$($names),*],
            definition: LazyLock::new(|| None),
        }
    };
    ($name:literal, [$($names:literal),*], $($pattern:literal),+) => {
        Language {
            name: $name,
            names: &[$($names),*],
            definition: LazyLock::new(|| {
                let pattern = [$($pattern),+].join("|");
                Some(Regex::new(&pattern).expect("a constant that the tests compile"))
            }),
        }
    };
}

/// The language of a file name.
pub(super) fn by_name(name: &str) -> Option<&'static Language> {
    let name = name.to_ascii_lowercase();
    let key = extension(&name).unwrap_or(&name);
    LANGUAGES
        .iter()
        .find(|language| language.names.contains(&name.as_str()) || language.names.contains(&key))
}

/// The language of a script's `#!` line.
pub(super) fn by_interpreter(line: &str) -> Option<&'static Language> {
    let command = line.strip_prefix("#!")?;
    let mut words = command
        .split_whitespace()
        .flat_map(|word| word.rsplit('/').next());
    let program = words.find(|word| *word != "env" && !word.starts_with('-'))?;
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let name = match program {
        "bash" | "sh" | "zsh" | "dash" | "ksh" | "ash" => "shell",
        "node" | "deno" | "bun" => "javascript",
        other => other,
    };
    LANGUAGES.iter().find(|language| language.name == name)
}

/// Every language. Where two claim a name, the first wins.
pub(super) static LANGUAGES: [Language; 54] = [
    language!(
        "rust",
        ["rs"],
        r#"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:(?:default|const|async|unsafe|extern(?:\s+"[^"]*")?)\s+)*((?:fn|struct|enum|trait|union|type)\s+[A-Za-z_]\w*)"#,
        r"^\s*(?:pub(?:\([^)]*\))?\s+)?(mod\s+\w+)\s*\{",
        r"^\s*(?:unsafe\s+)?(impl\b[^{;]*)",
        r"^\s*(macro_rules!\s*\w+)"
    ),
    language!(
        "python",
        ["py", "pyi", "pyw"],
        r"^\s*(?:async\s+)?((?:def|class)\s+\w+)"
    ),
    language!(
        "javascript",
        ["js", "mjs", "cjs", "jsx", "vue", "svelte"],
        r"^\s*(?:export\s+)?(?:default\s+)?(?:async\s+)?((?:function\*?|class)\s+[A-Za-z_$][\w$]*)",
        r"^\s*(?:export\s+)?((?:const|let|var)\s+[A-Za-z_$][\w$]*)\s*=\s*(?:async\s*)?(?:function\b|\([^)]*\)\s*=>|[A-Za-z_$][\w$]*\s*=>)",
        r"^\s+(?:(?:static|async|get|set)\s+)*([A-Za-z_$#][\w$]*)\s*\([^)]*\)\s*\{\s*$"
    ),
    language!(
        "typescript",
        ["ts", "tsx", "mts", "cts"],
        r"^\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?((?:function\*?|class|interface|enum|namespace|type)\s+[A-Za-z_$][\w$]*)",
        r"^\s*(?:export\s+)?((?:const|let|var)\s+[A-Za-z_$][\w$]*)[^=]*=\s*(?:async\s*)?(?:function\b|\([^)]*\)\s*(?::[^=]+)?=>|[A-Za-z_$][\w$]*\s*=>)",
        r"^\s+(?:(?:public|private|protected|readonly|static|async|get|set|override)\s+)*([A-Za-z_$#][\w$]*)\s*(?:<[^>]*>)?\([^)]*\)\s*(?::[^{]+)?\{\s*$"
    ),
    language!(
        "go",
        ["go"],
        r"^(func\s+(?:\([^)]*\)\s*)?\w+)",
        r"^(type\s+\w+)"
    ),
    language!(
        "java",
        ["java", "groovy", "gradle"],
        r"^\s*(?:(?:public|private|protected|static|final|abstract|sealed|non-sealed|strictfp)\s+)*((?:class|interface|enum|record|@interface)\s+\w+)",
        r"^\s*(?:(?:public|private|protected|static|final|abstract|synchronized|native|default)\s+)+(?:<[^>]*>\s*)?[\w<>\[\],.? ]*?(\w+)\s*\([^;=]*$",
        r"^\s*(def\s+\w+)\s*\("
    ),
    language!(
        "kotlin",
        ["kt", "kts"],
        r"^\s*(?:[a-z]+\s+)*((?:class|interface|object|fun|enum\s+class)\s+(?:<[^>]*>\s*)?[\w.`]+)"
    ),
    language!(
        "scala",
        ["scala", "sc"],
        r"^\s*(?:[a-z]+\s+)*((?:class|trait|object|def|enum)\s+\w+)"
    ),
    language!(
        "csharp",
        ["cs"],
        r"^\s*(?:[a-z]+\s+)*((?:class|interface|enum|record|struct|namespace|delegate)\s+[\w.]+)",
        r"^\s*(?:(?:public|private|protected|internal|static|virtual|override|abstract|sealed|async|extern|partial)\s+)+[\w<>\[\],.? ]*?(\w+)\s*\([^;=]*$"
    ),
    language!(
        "dart",
        ["dart"],
        r"^\s*(?:abstract\s+)?((?:class|mixin|enum|extension)\s+\w+)",
        r"^\s*(?:[\w<>?]+\s+)?(\w+)\s*\([^;=]*\)\s*(?:async\s*)?\{\s*$"
    ),
    language!(
        "c",
        ["c", "h", "m"],
        r"^(?:[A-Za-z_][\w\s*]*[\s*])?([A-Za-z_]\w*)\s*\([^;]*$",
        r"^(?:typedef\s+)?((?:struct|enum|union)\s+[A-Za-z_]\w*)\s*\{?\s*$",
        r"^(#\s*define\s+\w+)\(",
        r"^(@(?:interface|implementation|protocol)\s+\w+)"
    ),
    language!(
        "cpp",
        [
            "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "ipp", "cu", "cuh", "ino", "mm"
        ],
        r"^(?:[A-Za-z_][\w:<>,*&\s~\[\]]*[\s*&])?((?:[A-Za-z_]\w*(?:<[^>]*>)?::)*~?[A-Za-z_]\w*)\s*\([^;]*$",
        r"^\s*((?:class|struct|enum(?:\s+class)?|union|namespace)\s+[A-Za-z_][\w:]*)[^;()]*$",
        r"^(#\s*define\s+\w+)\("
    ),
    language!(
        "ruby",
        ["rb", "rake", "gemspec", "rakefile", "gemfile"],
        r"^\s*((?:def|class|module)\s+[\w.:?!]+)"
    ),
    language!(
        "php",
        ["php", "phtml"],
        r"^\s*(?:(?:public|private|protected|static|final|abstract|readonly)\s+)*((?:function\s+&?|class\s+|interface\s+|trait\s+|enum\s+)\w+)"
    ),
    language!(
        "swift",
        ["swift"],
        r"^\s*(?:@?\w+(?:\([^)]*\))?\s+)*?((?:func|class|struct|enum|protocol|extension|actor)\s+[\w.]+)"
    ),
    language!(
        "shell",
        ["sh", "bash", "zsh", "ksh", "fish", "bats"],
        r"^\s*(function\s+[\w:.-]+)",
        r"^\s*([\w:.-]+)\s*\(\)"
    ),
    language!(
        "powershell",
        ["ps1", "psm1", "psd1"],
        r"(?i)^\s*((?:function|class|enum)\s+[\w:-]+)"
    ),
    language!("batch", ["bat", "cmd"], r"^(:[A-Za-z]\w*)"),
    language!(
        "lua",
        ["lua"],
        r"^\s*(?:local\s+)?(function\s+[\w.:]+)",
        r"^\s*(?:local\s+)?([\w.]+)\s*=\s*function"
    ),
    language!(
        "perl",
        ["pl", "pm", "t", "pod"],
        r"^\s*((?:sub|package)\s+[\w:]+)",
        r"^=head\d\s+(.+)"
    ),
    language!("r", ["r"], r"^\s*([\w.]+)\s*(?:<-|=)\s*function"),
    language!(
        "julia",
        ["jl"],
        r"^\s*((?:function|struct|mutable struct|module|macro|abstract type)\s+[\w.!]+)"
    ),
    language!(
        "haskell",
        ["hs", "lhs"],
        r"^((?:data|newtype|class|instance|type|module)\s+[^={(]+?)\s*(?:where|=|\(|\{|$)",
        r"^([a-z_][\w']*)\s*::"
    ),
    language!(
        "elixir",
        ["ex", "exs"],
        r"^\s*((?:def|defp|defmodule|defmacro|defprotocol|defimpl)\s+[\w.?!]+)"
    ),
    language!(
        "erlang",
        ["erl", "hrl"],
        r"^([a-z]\w*)\(.*(?:->|when)",
        r"^(-module\(\w+)"
    ),
    language!(
        "ocaml",
        ["ml", "mli"],
        r"^((?:let(?:\s+rec)?|module|type|val|class|external)\s+[\w']+)"
    ),
    language!(
        "fsharp",
        ["fs", "fsi", "fsx"],
        r"^\s*((?:let(?:\s+rec)?|module|type|member)\s+[\w.']+)"
    ),
    language!(
        "lisp",
        [
            "lisp", "cl", "el", "scm", "ss", "rkt", "clj", "cljs", "cljc", "edn"
        ],
        r"^\(\s*((?:def[\w*-]*|define[\w-]*|ns)\s+\(?[^\s()]+)"
    ),
    language!(
        "sql",
        ["sql", "ddl", "psql"],
        r#"(?i)^\s*(create\s+(?:or\s+replace\s+)?(?:[a-z]+\s+)??(?:table|view|function|procedure|index|trigger|type|schema|sequence)\s+(?:if\s+not\s+exists\s+)?[\w."`]+)"#
    ),
    language!(
        "fortran",
        ["f", "f90", "f95", "f03", "f08", "for"],
        r"(?i)^\s*(?:(?:pure|elemental|recursive)\s+)*((?:subroutine|function|module|program)\s+\w+)"
    ),
    language!(
        "pascal",
        ["pas", "pp", "dpr"],
        r"(?i)^\s*((?:procedure|function|unit|program|constructor|destructor)\s+[\w.]+)"
    ),
    language!(
        "zig",
        ["zig"],
        r"^\s*(?:pub\s+)?(?:(?:export|inline|extern)\s+)*(fn\s+\w+)",
        r"^\s*(?:pub\s+)?(const\s+\w+)\s*=\s*(?:packed\s+|extern\s+)?(?:struct|enum|union)"
    ),
    language!(
        "nim",
        ["nim"],
        r"^\s*((?:proc|func|method|template|macro|iterator)\s+\w+)"
    ),
    language!("tcl", ["tcl"], r"^\s*((?:proc|namespace eval)\s+\S+)"),
    language!("vim", ["vim"], r"^\s*(fu(?:nction)?!?\s+[\w:#.]+)"),
    language!(
        "solidity",
        ["sol"],
        r"^\s*((?:contract|library|interface|function|struct|event|modifier|enum)\s+\w+)"
    ),
    language!(
        "verilog",
        ["v", "sv", "svh"],
        r"^\s*((?:module|interface|class|task|function)\s+\w+)"
    ),
    language!(
        "vhdl",
        ["vhd", "vhdl"],
        r"(?i)^\s*((?:entity|architecture|package|process)\s+\w+)"
    ),
    language!(
        "latex",
        ["tex", "sty", "cls", "ltx"],
        r"^\s*\\(?:part|chapter|(?:sub)*section|paragraph)\*?(?:\[[^\]]*\])?\{([^}]*)"
    ),
    language!(
        "protobuf",
        ["proto"],
        r"^\s*((?:message|service|enum|rpc)\s+\w+)"
    ),
    language!(
        "graphql",
        ["graphql", "gql"],
        r"^\s*((?:type|input|enum|interface|union|scalar|query|mutation|fragment)\s+\w+)"
    ),
    language!(
        "hcl",
        ["tf", "hcl", "tfvars"],
        r"^((?:resource|data|module|variable|output|provider)\b[^{]*)"
    ),
    language!(
        "cmake",
        ["cmake"],
        r"(?i)^\s*((?:function|macro|add_executable|add_library)\s*\(\s*\w+)"
    ),
    language!(
        "make",
        ["mk", "mak", "makefile", "gnumakefile", "justfile"],
        r"^([\w./%-]+)\s*:(?:[^=]|$)"
    ),
    language!(
        "dockerfile",
        ["dockerfile", "containerfile"],
        r"^(FROM\s+.+)"
    ),
    language!("toml", ["toml"], r"^\s*(\[\[?[^\[\]]+\]\]?)\s*(?:#.*)?$"),
    language!(
        "ini",
        ["ini", "cfg", "conf", "properties", "service", "desktop"],
        r"^\s*(\[[^\[\]]+\])\s*$"
    ),
    language!("yaml", ["yaml", "yml"], r"^([A-Za-z_][\w.-]*):\s*(?:#.*)?$"),
    language!("css", ["css", "scss", "sass", "less"]),
    language!("assembly", ["s", "asm"], r"^([A-Za-z_][\w.$]*):"),
    language!("awk", ["awk"], r"^\s*(function\s+\w+)"),
    language!("nix", ["nix"]),
    language!(
        "diff",
        ["diff", "patch"],
        r"^diff (?:--git )?(\S+)",
        r"^\+\+\+ (\S+)"
    ),
    language!("xml", ["xml", "xsd", "xsl", "xslt", "rss", "atom", "plist"]),
];
