use super::check;
use crate::tidy::Tree;

const ROOT: (&str, &str) =
    ("Cargo.toml", "[workspace.dependencies]\nours = { path = \"ours\" }\nserde = \"1\"\n");

fn said(manifest: &str) -> Vec<String> {
    let tree = Tree::of(&[ROOT, ("services/x/Cargo.toml", manifest)]);
    check(&tree).into_iter().map(|finding| finding.to_string()).collect()
}

#[test]
fn a_version_or_a_feature_in_a_member_is_found() {
    assert_eq!(
        said("[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"\n"),
        ["services/x/Cargo.toml:4: serde is not taken from the workspace"]
    );
    let feature = "[dev-dependencies]\nserde = { workspace = true, features = [\"rc\"] }\n";
    assert_eq!(
        said(feature),
        ["services/x/Cargo.toml:2: serde sets features: set them in the root manifest"]
    );
}

#[test]
fn features_of_our_own_packages_are_ours_to_choose() {
    let manifest = "[dependencies]\nserde.workspace = true\n\
                    ours = { workspace = true, features = [\"testing\"] }\n\
                    x = { path = \".\", features = [\"testing\"] }\n\
                    [features]\ntesting = []\n";
    assert_eq!(said(manifest), [""; 0]);
}
