//! The pages in docs/ are what the declared tables say; `UPDATE_GOLDEN=1` writes them.

use std::path::Path;

#[test]
fn the_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, text) in
        [("configuration.md", narrows_config::reference()), ("routing.md", narrows_config::routing())]
    {
        let path = folder.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("the page is written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, text, "docs/{name} is old: run `UPDATE_GOLDEN=1 cargo test -p narrows-config`");
    }
}

#[test]
fn every_code_is_explained_once() {
    let codes: std::collections::BTreeSet<&str> =
        narrows_config::Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), narrows_config::Code::ALL.len());
    assert!(codes.iter().all(|code| narrows_config::explain_code(code).is_some()));
    assert_eq!(narrows_config::explain_code("N9999"), None);
}
