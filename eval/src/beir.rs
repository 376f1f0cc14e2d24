//! The sets of BEIR that are published as archives (Thakur et al., 2021): what
//! they are called, where they lie, the MD5 sum that their authors publish, and
//! how many questions the test split has.

/// A set of BEIR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeirSet {
    /// Its name, also of its folder and archive.
    pub name: &'static str,
    /// The archive's MD5 sum.
    pub md5: &'static str,
    /// Judged questions of the test split; of `dev` for msmarco.
    pub questions: usize,
    /// Documents of the corpus, about.
    pub documents: &'static str,
}

/// Where the archives are published.
const ROOT: &str = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets";

const fn set(
    name: &'static str,
    md5: &'static str,
    questions: usize,
    documents: &'static str,
) -> BeirSet {
    BeirSet {
        name,
        md5,
        questions,
        documents,
    }
}

/// All of them, small ones first. `cqadupstack` is twelve folders in one archive
/// and is not here.
pub const SETS: &[BeirSet] = &[
    set(
        "nfcorpus",
        "a89dba18a62ef92f7d323ec890a0d38d",
        323,
        "3.6 thousand",
    ),
    set(
        "scifact",
        "5f7d1de60b170fc8027bb7898e2efca1",
        300,
        "5 thousand",
    ),
    set(
        "arguana",
        "8ad3e3c2a5867cdced806d6503f29b99",
        1_406,
        "8.7 thousand",
    ),
    set(
        "scidocs",
        "38121350fc3a4d2f48850f6aff52e4a9",
        1_000,
        "25 thousand",
    ),
    set(
        "fiqa",
        "17918ed23cd04fb15047f73e6c3bd9d9",
        648,
        "57 thousand",
    ),
    set(
        "trec-covid",
        "ce62140cb23feb9becf6270d0d1fe6d1",
        50,
        "171 thousand",
    ),
    set(
        "webis-touche2020",
        "46f650ba5a527fc69e0a6521c5a23563",
        49,
        "382 thousand",
    ),
    set(
        "quora",
        "18fb154900ba42a600f84b839c173167",
        10_000,
        "523 thousand",
    ),
    set(
        "nq",
        "d4d3d2e48787a744b6f6e691ff534307",
        3_452,
        "2.7 million",
    ),
    set(
        "dbpedia-entity",
        "c2a39eb420a3164af735795df012ac2c",
        400,
        "4.6 million",
    ),
    set(
        "hotpotqa",
        "f412724f78b0d91183a0e86805e16114",
        7_405,
        "5.2 million",
    ),
    set(
        "fever",
        "5a818580227bfb4b35bb6fa46d9b6c03",
        6_666,
        "5.4 million",
    ),
    set(
        "climate-fever",
        "8b66f0a9126c521bae2bde127b4dc99d",
        1_535,
        "5.4 million",
    ),
    set(
        "msmarco",
        "444067daf65d982533ea17ebd59501e4",
        6_980,
        "8.8 million",
    ),
];

impl BeirSet {
    /// The set called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|set| set.name == name)
    }

    /// The archive's address.
    pub fn url(&self) -> String {
        format!("{ROOT}/{}.zip", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_sums_and_names_are_one_each() {
        for set in SETS {
            assert!(set.md5.len() == 32 && set.md5.bytes().all(|b| b.is_ascii_hexdigit()));
            assert_eq!(BeirSet::named(set.name), Some(set));
        }
        let scifact = BeirSet::named("scifact").unwrap();
        assert!(scifact.url().ends_with("/BEIR/datasets/scifact.zip"));
        assert_eq!(BeirSet::named("scifact.zip"), None);
    }
}
