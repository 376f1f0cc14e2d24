//! Segments as the store uses them: written, opened, searched, merged, broken.

use std::path::Path;

use cairn_models::Cancel;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::ErrorKind;

/// Unit vectors around a few centres, as embeddings of related texts are.
fn clustered(rows: usize, dimension: usize, seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut normal = || -> f32 { (0..4).map(|_| random.random_range(-1.0..1.0_f32)).sum() };
    let centres: Vec<f32> = (0..40 * dimension).map(|_| normal()).collect();
    let mut vectors = Vec::with_capacity(rows * dimension);
    for row in 0..rows {
        let centre = &centres[row % 40 * dimension..][..dimension];
        let mut vector: Vec<f32> = centre.iter().map(|x| x + 1.2 * normal()).collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= length);
        vectors.extend(vector);
    }
    vectors
}

fn ids(rows: usize) -> Vec<u64> {
    (0..rows as u64).map(|row| 10 + 3 * row).collect()
}

fn settings(graph_min_rows: usize) -> BuildSettings {
    BuildSettings {
        graph_min_rows,
        ..BuildSettings::default()
    }
}

fn written(dir: &Path, rows: usize, dimension: usize, graph_min_rows: usize) -> SegmentMeta {
    let vectors = clustered(rows, dimension, 1);
    let settings = settings(graph_min_rows);
    write_segment(
        dir,
        &ids(rows),
        &vectors,
        dimension,
        &settings,
        &Cancel::never(),
    )
    .unwrap()
}

fn search<'a>(query: &'a [f32], k: usize) -> Search<'a> {
    Search {
        query,
        k,
        ef: 64,
        exact: false,
        allowed: None,
    }
}

#[test]
fn a_written_segment_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let meta = written(dir.path(), 50, 7, usize::MAX);
    assert_eq!(
        (meta.rows, meta.dimension, meta.kind),
        (50, 7, SegmentKind::Flat)
    );
    let segment = Segment::open(dir.path(), &meta).unwrap();
    let vectors = clustered(50, 7, 1);
    assert_eq!(segment.ids(), ids(50));
    assert_eq!(segment.vector(49).unwrap(), &vectors[49 * 7..]);
    assert_eq!(segment.vector(50).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!((segment.row_of(13), segment.row_of(14)), (Some(1), None));
    segment.verify().unwrap();
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary file stays");
}

#[test]
fn finds_itself_first_and_no_more_than_there_is() {
    let dir = tempfile::tempdir().unwrap();
    for graph_min_rows in [usize::MAX, 1] {
        let meta = written(dir.path(), 50, 7, graph_min_rows);
        let segment = Segment::open(dir.path(), &meta).unwrap();
        let query = segment.vector(31).unwrap();
        let found = segment.search(&search(query, 500)).unwrap();
        assert_eq!(found.len(), 50);
        assert_eq!(found[0].0, 31);
        assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!(segment.search(&search(query, 0)).unwrap().is_empty());
    }
}

#[test]
fn an_empty_segment_and_a_single_row_work() {
    let dir = tempfile::tempdir().unwrap();
    for graph_min_rows in [usize::MAX, 0] {
        for rows in [0, 1, 2] {
            let meta = written(dir.path(), rows, 5, graph_min_rows);
            let segment = Segment::open(dir.path(), &meta).unwrap();
            let found = segment
                .search(&search(&[1.0, 0.0, 0.0, 0.0, 0.0], 10))
                .unwrap();
            assert_eq!(found.len(), rows);
            segment.verify().unwrap();
        }
    }
}

#[test]
fn only_unit_vectors_in_the_order_of_their_ids_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let write = |ids: &[u64], vectors: &[f32], dimension: usize| {
        let cancel = Cancel::never();
        write_segment(dir.path(), ids, vectors, dimension, &settings(100), &cancel).unwrap_err()
    };
    for (error, names) in [
        (write(&[4], &[f32::NAN, 0.0], 2), "vector 4"),
        (write(&[4], &[0.0, 0.0], 2), "length 0"),
        (write(&[4], &[3.0, 4.0], 2), "length 5"),
        (write(&[4], &[f32::INFINITY, 0.0], 2), "vector 4"),
        (write(&[4, 4], &[1.0, 0.0, 1.0, 0.0], 2), "4 comes before 4"),
        (write(&[1, 2], &[1.0, 0.0, 1.0], 2), "3 floats"),
        (write(&[], &[], 0), "0 dimensions"),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains(names), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_query_that_does_not_fit_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let meta = written(dir.path(), 5, 3, usize::MAX);
    let segment = Segment::open(dir.path(), &meta).unwrap();
    let kind = |query: &[f32]| segment.search(&search(query, 1)).unwrap_err().kind();
    assert_eq!(kind(&[1.0, 0.0]), ErrorKind::Mismatch);
    assert_eq!(kind(&[f32::NAN, 0.0, 0.0]), ErrorKind::InvalidInput);
    assert_eq!(kind(&[0.0, 0.0, 0.0]), ErrorKind::InvalidInput);
    assert_eq!(kind(&[f32::INFINITY, 0.0, 0.0]), ErrorKind::InvalidInput);
}

#[test]
fn a_cancelled_build_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = Cancel::never();
    cancel.cancel();
    for graph_min_rows in [usize::MAX, 1] {
        let vectors = clustered(50, 4, 1);
        let settings = settings(graph_min_rows);
        let error = write_segment(dir.path(), &ids(50), &vectors, 4, &settings, &cancel);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn merging_keeps_what_is_wanted_in_the_order_of_ids() {
    let dir = tempfile::tempdir().unwrap();
    let write = |ids: &[u64], seed: u64| {
        let vectors = clustered(ids.len(), 6, seed);
        let cancel = Cancel::never();
        let meta = write_segment(dir.path(), ids, &vectors, 6, &settings(100), &cancel).unwrap();
        Segment::open(dir.path(), &meta).unwrap()
    };
    let (late, early) = (write(&[20, 21, 25, 30], 2), write(&[3, 22, 23], 3));
    let keep = |id: u64| id != 21 && id != 3;
    let cancel = Cancel::never();
    let meta = merge(dir.path(), &[&late, &early], &keep, &settings(100), &cancel).unwrap();
    let merged = Segment::open(dir.path(), &meta).unwrap();
    assert_eq!(merged.ids(), [20, 22, 23, 25, 30]);
    assert_eq!(merged.vector(1).unwrap(), early.vector(1).unwrap());
    assert_eq!(merged.vector(3).unwrap(), late.vector(2).unwrap());

    let nothing = merge(dir.path(), &[&late], &|_| false, &settings(100), &cancel).unwrap();
    assert_eq!(Segment::open(dir.path(), &nothing).unwrap().rows(), 0);
    let twice = merge(
        dir.path(),
        &[&late, &late],
        &|_| true,
        &settings(100),
        &cancel,
    );
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::InvalidInput);
    let other = Segment::open(dir.path(), &written(dir.path(), 3, 4, 100)).unwrap();
    let mixed = merge(
        dir.path(),
        &[&late, &other],
        &|_| true,
        &settings(100),
        &cancel,
    );
    assert_eq!(mixed.unwrap_err().kind(), ErrorKind::Mismatch);
}

#[test]
fn a_file_cut_off_anywhere_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    for graph_min_rows in [usize::MAX, 1] {
        let meta = written(dir.path(), 60, 5, graph_min_rows);
        let path = dir.path().join(&meta.file);
        let whole = std::fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Segment::open(dir.path(), &meta).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{length}: {error}");
            assert_eq!(error.path(), Some(path.as_path()));
            // The same when the commit was made to believe the length.
            let meta = SegmentMeta {
                bytes: length as u64,
                ..meta.clone()
            };
            let error = Segment::open(dir.path(), &meta).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{length}: {error}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = Segment::open(dir.path(), &meta).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_flipped_bit_is_found_and_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    for graph_min_rows in [usize::MAX, 1] {
        let meta = written(dir.path(), 60, 5, graph_min_rows);
        let path = dir.path().join(&meta.file);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            match Segment::open(dir.path(), &meta) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{at}: {error}"),
                Ok(segment) => {
                    assert_eq!(
                        segment.verify().unwrap_err().kind(),
                        ErrorKind::Corrupt,
                        "{at}"
                    );
                    segment
                        .search(&search(&[1.0, 0.0, 0.0, 0.0, 0.0], 9))
                        .unwrap();
                }
            }
        }
    }
}

#[test]
fn a_segment_of_another_commit_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let one = written(dir.path(), 8, 3, usize::MAX);
    let vectors = clustered(8, 3, 99);
    let cancel = Cancel::never();
    let other = write_segment(dir.path(), &ids(8), &vectors, 3, &settings(100), &cancel).unwrap();
    std::fs::copy(dir.path().join(&other.file), dir.path().join(&one.file)).unwrap();
    let error = Segment::open(dir.path(), &one).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

/// A graph over clustered vectors, and queries that are none of them.
fn graph(dir: &Path, rows: usize) -> (Segment, Vec<f32>) {
    let dimension = 48;
    let vectors = clustered(rows + 100, dimension, 5);
    let (vectors, queries) = vectors.split_at(rows * dimension);
    let cancel = Cancel::never();
    let meta = write_segment(dir, &ids(rows), vectors, dimension, &settings(1), &cancel).unwrap();
    assert_eq!(meta.kind, SegmentKind::Graph);
    (Segment::open(dir, &meta).unwrap(), queries.to_vec())
}

/// The share of the exact answers that the search without `exact` returns.
fn recall(segment: &Segment, queries: &[f32], allowed: Option<&RowSet>) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for query in queries.chunks(segment.dimension()) {
        let walked = Search {
            allowed,
            ..search(query, 10)
        };
        let exact = Search {
            exact: true,
            ..walked
        };
        let walked = segment.search(&walked).unwrap();
        let exact = segment.search(&exact).unwrap();
        assert_eq!(walked.len(), exact.len());
        assert!(
            walked
                .iter()
                .all(|(row, _)| allowed.is_none_or(|set| set.contains(*row)))
        );
        wanted += exact.len();
        found += exact.iter().filter(|hit| walked.contains(hit)).count();
    }
    found as f64 / wanted.max(1) as f64
}

#[test]
fn a_graph_finds_what_a_scan_finds() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, queries) = graph(dir.path(), 6000);
    let recall = recall(&segment, &queries, None);
    assert!(recall >= 0.98, "{recall}");
    let first = search(&queries[..48], 20);
    assert_eq!(
        segment.search(&first).unwrap(),
        segment.search(&first).unwrap()
    );
    segment.verify().unwrap();
}

#[test]
fn a_graph_obeys_filters_of_any_size() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, queries) = graph(dir.path(), 6000);
    for percent in [100, 99, 50, 10, 1, 0] {
        // Rows by turns, and one block of rows that may be  far from the query.
        let spread = RowSet::from_fn(6000, |row| row.wrapping_mul(2_654_435_761) % 100 < percent);
        let block = RowSet::from_fn(6000, |row| row < 60 * percent);
        for set in [spread, block] {
            let recall = recall(&segment, &queries, Some(&set));
            assert!(set.is_empty() || recall >= 0.97, "{percent} %: {recall}");
        }
    }
}

#[test]
fn a_graph_reaches_a_filter_that_is_one_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, queries) = graph(dir.path(), 6000);
    // `clustered` deals the rows out to its 40 centres by turns.
    let set = RowSet::from_fn(6000, |row| row % 40 < 20);
    let recall = recall(&segment, &queries, Some(&set));
    assert!(recall >= 0.97, "{recall}");
}

#[test]
fn equal_vectors_are_all_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut vectors = clustered(2000, 16, 8);
    let copy = vectors[..16].to_vec();
    for row in 500..900 {
        vectors[row * 16..][..16].copy_from_slice(&copy);
    }
    let cancel = Cancel::never();
    let meta = write_segment(dir.path(), &ids(2000), &vectors, 16, &settings(1), &cancel).unwrap();
    let segment = Segment::open(dir.path(), &meta).unwrap();
    let found = segment.search(&search(&copy, 100)).unwrap();
    assert!(found.iter().all(|(_, score)| (score - 1.0).abs() < 1e-5));
}

#[test]
fn searches_may_run_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, queries) = graph(dir.path(), 2000);
    let queries: Vec<&[f32]> = queries.chunks(48).collect();
    let answer = |query: &[f32]| segment.search(&search(query, 5)).unwrap();
    let alone: Vec<_> = queries.iter().map(|query| answer(query)).collect();
    let together = std::thread::scope(|scope| {
        let threads = queries.iter().map(|query| scope.spawn(|| answer(query)));
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(alone, together);
}
