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
