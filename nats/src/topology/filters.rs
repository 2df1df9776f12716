//! Sets of subject filters: what covers what, and their union without overlaps.

use saga_core::subject::matches as covers;

/// The filters of `wanted` that none in `found` covers.
pub(super) fn missing(wanted: &[String], found: &[String]) -> Vec<String> {
    let is_missing = |it: &&String| !found.iter().any(|wide| covers(wide, it));
    wanted.iter().filter(is_missing).cloned().collect()
}

/// All of both; the server refuses filters of which one covers another, so those are left out.
pub(super) fn union(one: &[String], other: &[String]) -> Vec<String> {
    let mut all: Vec<String> = one.iter().chain(other).cloned().collect();
    all.sort();
    all.dedup();
    let is_needed = |it: &&String| !all.iter().any(|wide| wide != *it && covers(wide, it));
    all.iter().filter(is_needed).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(filters: &[&str]) -> Vec<String> {
        filters.iter().map(|&filter| filter.to_owned()).collect()
    }

    #[test]
    fn wider_filters_cover_narrower_ones() {
        for (wide, narrow) in [("a.b", "a.b"), ("a.*", "a.b"), ("a.>", "a.b.c"), ("*.>", "a.*")] {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
        for (wide, narrow) in [("a.b", "a.*"), ("a.*", "a.>"), ("a.*", "a.b.c"), ("a.>", "a")] {
            assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
        }
    }

    #[test]
    fn a_union_loses_nothing_and_overlaps_nowhere() {
        let (one, other) = (owned(&["a.b.c", "x.y"]), owned(&["a.*.c", "x.z"]));
        let both = union(&one, &other);
        assert_eq!(both, ["a.*.c", "x.y", "x.z"]);
        assert!(missing(&one, &both).is_empty() && missing(&other, &both).is_empty());
        assert_eq!(missing(&both, &one), ["a.*.c", "x.z"]);
    }
}
