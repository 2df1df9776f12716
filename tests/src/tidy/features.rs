//! Every selection of packages has the same features of other people's crates, or what lies on the
//! heaviest of them is compiled once for `cargo run` and again for the tests.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

/// What `cargo tree --prefix none --format '{p}|{f}'` prints, by crate and version.
type Features<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// How `cargo tree` is to print each crate for [`check`].
pub const FORMAT: &str = "{p}|{f}";

/// Compares what a selection of packages has with what the whole workspace has.
///
/// Both texts are what `cargo tree` printed in [`FORMAT`], without a prefix.
pub fn check(selection: &str, selected: &str, workspace: &str) -> Vec<Finding> {
    let whole = features(workspace);
    let missing = features(selected).into_iter().filter_map(|(name, has)| {
        let lacks: Vec<&str> = whole.get(name)?.difference(&has).copied().collect();
        (!lacks.is_empty()).then(|| {
            let what = format!(
                "builds {name} without `{}`, which the whole workspace turns on: name the crate in \
                 services/kit/Cargo.toml, with these features set in the root manifest",
                lacks.join("`, `")
            );
            Finding::new(selection, what)
        })
    });
    missing.collect()
}

fn features(printed: &str) -> Features<'_> {
    let mut features = Features::new();
    for line in printed.lines() {
        let Some((name, list)) = line.trim_end_matches(" (*)").split_once('|') else { continue };
        // Packages of this repository have a path here; their features may differ.
        if name.contains('(') && !name.ends_with("(proc-macro)") {
            continue;
        }
        let name = name.trim_end_matches(" (proc-macro)");
        let list = list.split(',').filter(|feature| !feature.is_empty());
        features.entry(name).or_default().extend(list);
    }
    features
}

#[cfg(test)]
mod tests {
    use super::check;

    const WORKSPACE: &str = "shop v1 (/home)|default\nurl v2|default,serde\nurl v2|default (*)\n\
                             either v1 (proc-macro)|std";

    #[test]
    fn a_feature_that_only_the_workspace_turns_on_is_found() {
        let findings = check("-p shop", "url v2|default\neither v1 (proc-macro)|std", WORKSPACE);
        let [finding] = findings.as_slice() else { panic!("one: {findings:?}") };
        assert!(finding.what.contains("url v2 without `serde`"), "{finding}");
    }

    #[test]
    fn the_same_features_in_whatever_order_are_fine() {
        let findings = check("-p shop", "url v2|serde\nurl v2|default", WORKSPACE);
        assert_eq!(findings, []);
    }
}
