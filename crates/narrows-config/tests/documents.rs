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

#[test]
fn every_example_about_upstreams_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = std::fs::read_to_string(folder.join("upstreams.md")).expect("the page");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 10, "{} examples", blocks.len());
    for block in blocks {
        let listener = "listeners: { none: { bind: ':1', routes: [{ respond: { status: 204 } }] } }\n";
        let text = if block.contains("listeners:") { block.to_owned() } else { format!("{listener}{block}") };
        let loaded = narrows_config::load_text("upstreams.md", &text, &folder);
        let expected = [narrows_config::Code::UnusedUpstream, narrows_config::Code::EndpointFile];
        let unexpected = loaded.diagnostics.list.iter().find(|one| !expected.contains(&one.code));
        assert!(unexpected.is_none(), "{}", loaded.diagnostics.render(false));
    }
}

#[test]
fn every_list_about_upstreams_is_a_file_of_endpoints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = std::fs::read_to_string(folder.join("upstreams.md")).expect("the page");
    let mut lists = page.split("```json\n").skip(1).filter(|rest| rest.starts_with('['));
    let list = lists.next().and_then(|rest| rest.split("```").next()).expect("a list");
    let path = std::env::temp_dir().join(format!("narrows-{}-page.json", std::process::id()));
    std::fs::write(&path, list).expect("a temporary file");
    let endpoints = narrows_config::load_endpoints(&path);
    let _ = std::fs::remove_file(&path);
    assert_eq!(endpoints.map(|endpoints| endpoints.len()), Ok(2));
}
