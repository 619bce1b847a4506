//! The examples load, and `full.yaml` uses every key.

use narrows_config::load;
use std::path::{Path, PathBuf};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

#[test]
fn the_examples_load_without_a_word() {
    for name in ["minimal.yaml", "full.yaml"] {
        let loaded = load(&[example(name)]);
        assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
        assert!(loaded.plan.is_some());
    }
}

#[test]
fn every_example_in_the_folder_loads() {
    let entries = std::fs::read_dir(example("")).expect("the examples");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let loaded = load(std::slice::from_ref(&path));
            assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.render(false));
        }
    }
}
