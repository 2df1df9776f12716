//! The published document is a golden file: a change of it is seen in review.

use std::path::Path;

#[test]
fn golden_openapi_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/jetsaga.openapi.json");
    let found = format!("{:#}\n", gateway::document::public());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == found, "the document changed; `UPDATE=1 just golden` rewrites it");
}
